"""The chapters of a result that look beyond its headline: subgroups, abstaining, a bound on misses, decisions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from malaria_exp.evaluation.evaluate import json_ready
from malaria_exp.evaluation.intervals.interval_interface import PATIENTS_UNKNOWN, IntervalMethod, no_interval
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.subgroups.subgroups import subgroups
from malaria_exp.evaluation.usefulness.conformal import conformal
from malaria_exp.evaluation.usefulness.decision_curve import decision_curve, summarize
from malaria_exp.evaluation.usefulness.risk_coverage import risk_coverage

CHAPTERS = ("subgroups", "risk_coverage", "conformal", "decision_curve")


def further_chapters(
    cells: Predictions,
    threshold: np.ndarray | float,
    calibration: Sequence[Predictions] = (),
    sets: np.ndarray | None = None,
    *,
    interval: IntervalMethod,
    confidence: float,
    columns: Mapping[str, np.ndarray] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Returns the entries CHAPTERS of a subset, see there, plain Python ready for JSON.

    Args:
        cells: of one subset.
        threshold: the first one, of all cells or of each, (N,).
        calibration: cells of other patients for the bound on misses, see `conformal`.
        sets: which of them each cell uses, int (N,); by default the first.
        interval: how intervals are computed.
        confidence: in (0, 1).
        columns: that subgroups are also made of, str (N,), by name.
        **settings: resamples and seed of `interval`.
    """
    with_interval: dict[str, Any] = {"interval": interval, "confidence": confidence, **settings}
    unknown = no_interval(np.unique(cells.patient)) == PATIENTS_UNKNOWN
    places = np.zeros(len(cells), np.int64) if sets is None else sets
    curve = decision_curve(cells.label, cells.score, None if unknown else cells.patient, confidence=confidence)
    found = {
        "subgroups": None if unknown else subgroups(cells, cells.score >= threshold, columns or {}, **with_interval),
        "risk_coverage": risk_coverage(cells, threshold, **with_interval),
        "conformal": conformal(cells, calibration, places, **with_interval) if calibration and not unknown else None,
        "decision_curve": summarize(curve),
    }
    ready: dict[str, Any] = json_ready(found)
    return ready
