"""Intervals from the spread of patients, without resampling: the method of `interval=clustered`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from malaria_exp.evaluation.intervals.clustered_variance import Pull, Spread, clustered_variance
from malaria_exp.evaluation.intervals.influence import FRACTIONS, PatientCells, ranking_influence, rate_pulls
from malaria_exp.evaluation.intervals.interval_interface import MEANS_OF_PATIENTS, check_confidence, make_cell, no_interval
from malaria_exp.evaluation.intervals.limits import FISHER, LOG, LOGIT, Scale, rate_limits, scale_limits
from malaria_exp.evaluation.metrics import METRICS, compute

# Of metrics that are no fractions of cells; the logit for all others.
SCALES: dict[str, Scale] = {"mcc": FISHER, "log_loss": LOG}


class ClusteredIntervals:
    """Intervals from the spread of patients; an `IntervalMethod`."""

    words = "patients as clusters (Korn and Graubard, Obuchowski)"

    def __call__(
        self,
        labels: np.ndarray,
        scores: np.ndarray,
        patients: np.ndarray,
        thresholds: Mapping[str, float],
        *,
        resamples: int = 0,
        confidence: float = 0.95,
        seed: int = 0,
    ) -> dict[str, Any]:
        """See `IntervalMethod`; nothing is resampled."""
        check_confidence(confidence)
        names, patient = np.unique(np.asarray(patients), return_inverse=True)
        cells = PatientCells.of(np.asarray(labels), scores, patient)
        reason = no_interval(names)

        def cell(metric: str, value: float, pulls: Sequence[Pull], number: float) -> dict[str, Any]:
            if reason or np.isnan(value) or not pulls or any((pull.cells > 0).sum() < 2 for pull in pulls):
                return make_cell(value, None, None)
            spread = clustered_variance(pulls)
            limits = _limits(metric, value, spread, number, confidence)
            return make_cell(value, limits, min(float(spread.patients), float(len(names))))

        at = {}
        for name, threshold in thresholds.items():
            values, pulls = compute(cells.labels, cells.scores, threshold), rate_pulls(cells, threshold)
            number = denominators(cells, threshold)
            at[name] = {
                metric: cell(metric, values[metric], pulls.get(metric, ()), number.get(metric, len(labels)))
                for metric in METRICS
                if METRICS[metric].needs_threshold
            }
            for metric, rate in MEANS_OF_PATIENTS.items():
                value, pull = _mean_of_patients(pulls.get(rate, ()), values[rate])
                at[name][metric] = cell(metric, value, pull, number[rate])
        plain, influence = compute(cells.labels, cells.scores, 0.5), ranking_influence(cells)
        ranking = {
            metric: cell(metric, plain[metric], cells.pulls(influence[metric]) if metric in influence else (), len(labels))
            for metric in METRICS
            if not METRICS[metric].needs_threshold
        }
        return {"at": at, "ranking": ranking, "patients": len(names), "reason": reason}


def denominators(cells: PatientCells, threshold: float) -> dict[str, float]:
    """Returns the number of cells that each rate is a fraction of, where it is not that of all."""
    predicted = float((cells.scores >= threshold).sum())
    return {
        "sensitivity": float(cells.parasitized.sum()),
        "specificity": float(cells.uninfected.sum()),
        "ppv": predicted,
        "npv": len(cells.labels) - predicted,
    }


def _limits(metric: str, value: float, spread: Spread, number: float, confidence: float) -> tuple[float, float] | None:
    if metric in FRACTIONS or metric in MEANS_OF_PATIENTS:
        low, high = rate_limits(value, spread, number, confidence)
        return float(low), float(high)
    return scale_limits(value, spread, SCALES.get(metric, LOGIT), confidence)


def _mean_of_patients(pulls: Sequence[Pull], pooled: float) -> tuple[float, list[Pull]]:
    """Returns the mean of the patients' rates and its pull, from that of the rate over all cells."""
    if not pulls:
        return float("nan"), []
    present = pulls[0].cells > 0
    own = pulls[0].deviations + pooled
    value = float(own[present].mean())
    return value, [Pull(present.astype(np.float64), np.where(present, own - value, 0.0))]
