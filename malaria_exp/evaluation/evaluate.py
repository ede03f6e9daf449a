"""From predictions to metrics.json: counts, rates with intervals, ranking, patients, at frozen thresholds."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from malaria_exp.data.cell_table import count_cells
from malaria_exp.evaluation.intervals import METHOD, patient_bootstrap
from malaria_exp.evaluation.metrics import count, rates
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.thresholds import HALF, choose_threshold
from malaria_exp.utils.errors import ConfigError, DataError

CHOSEN_ON_VALIDATION = "validation patients"
NO_POSITIVES = "0.5, for the validation patients have no parasitized cell"
HANDED_IN = "frozen before this evaluation"


def evaluate(
    predictions: Predictions,
    *,
    target_sensitivity: float,
    resamples: int,
    confidence: float,
    seed: int,
    thresholds: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Computes everything that metrics.json holds.

    Args:
        predictions: of any of the subsets val, test and external.
        target_sensitivity: in (0, 1], reached on the validation cells by the threshold "chosen".
        resamples: of the bootstrap over patients; 0 for no intervals.
        confidence: in (0, 1).
        seed: of the bootstrap.
        thresholds: frozen ones by name, as an earlier run wrote them; validation cells are then not needed, and no threshold is
            chosen on them. "half" (0.5) is added if it is missing.

    Returns:
        Plain Python ready for JSON, undefined values as None:
        {"thresholds": {"half": 0.5, "chosen": t}, "target_sensitivity", "threshold_source",
         "subsets": {subset: {"counted": as `count_cells` gives it, "at": {threshold name: {"threshold", "tp", "fp", "tn", "fn", metric: cell ...}},
         "ranking": {metric: cell}, "per_patient": [row, ...], "no_interval": None or why}},
         "interval": {"method", "resamples", "confidence", "seed"}}
        with cell and its keys as in `patient_bootstrap`, and rows as in `per_patient`.

    Raises:
        ConfigError: a parameter is out of range.
        DataError: neither validation cells nor thresholds are given.
    """
    frozen, source = _frozen_thresholds(predictions, target_sensitivity, thresholds)
    subsets = {}
    for name in predictions.subsets:
        cells = predictions.select(name)
        intervals = patient_bootstrap(
            cells.label, cells.score, cells.patient, frozen, resamples=resamples, confidence=confidence, seed=seed
        )
        at = {
            key: {"threshold": value, **vars(count(cells.label, cells.score, value)), **intervals["at"][key]}
            for key, value in frozen.items()
        }
        subsets[name] = {
            "counted": count_cells(cells.label, cells.patient),
            "at": at,
            "ranking": intervals["ranking"],
            "per_patient": per_patient(cells, frozen),
            "no_interval": intervals["reason"],
        }
    data = {
        "thresholds": frozen,
        "target_sensitivity": float(target_sensitivity),
        "threshold_source": source,
        "subsets": subsets,
        "interval": {"method": METHOD, "resamples": int(resamples), "confidence": float(confidence), "seed": int(seed)},
    }
    return json_ready(data)


def _frozen_thresholds(
    predictions: Predictions, target_sensitivity: float, given: Mapping[str, float] | None
) -> tuple[dict[str, float], str]:
    """Returns the thresholds by name, those given or those chosen on the validation cells, and where they come from."""
    if given is not None:
        frozen = {"half": HALF} | {name: float(value) for name, value in given.items()}
        for name, value in frozen.items():
            if not 0 <= value <= 1:
                raise ConfigError(f"thresholds.{name}: expected a number in [0, 1]. Received: {value}")
        return frozen, HANDED_IN
    if "val" not in predictions.subsets:
        raise DataError(
            "Expected validation cells to choose a threshold on, or thresholds of an earlier run. "
            f"Received: cells of {', '.join(predictions.subsets)} only."
        )
    val = predictions.select("val")
    chosen = choose_threshold(val.label, val.score, target_sensitivity)
    return {"half": HALF, "chosen": chosen}, CHOSEN_ON_VALIDATION if val.label.any() else NO_POSITIVES


def per_patient(cells: Predictions, thresholds: Mapping[str, float]) -> list[dict[str, Any]]:
    """Returns a row a patient, in the order of their names.

    Each is {"patient", "cells", "parasitized", "uninfected", "infected": bool, "mean_score", "at": {threshold name: {"tp", "fp", "tn",
    "fn", and every rate}}}; a rate is nan where the patient lacks the cells for it.
    """
    rows = []
    for name in np.unique(cells.patient):
        own = cells.patient == name
        labels, scores = cells.label[own], cells.score[own]
        counts = {key: count(labels, scores, value) for key, value in thresholds.items()}
        rows.append(
            {
                "patient": str(name),
                "cells": len(labels),
                "parasitized": int((labels == 1).sum()),
                "uninfected": int((labels == 0).sum()),
                "infected": bool((labels == 1).any()),
                "mean_score": float(scores.mean()),
                "at": {key: {**vars(value), **rates(value)} for key, value in counts.items()},
            }
        )
    return rows


def json_ready(value: Any) -> Any:
    """Returns the value as plain Python: numpy numbers and arrays unpacked, keys as str, nan and infinities as None."""
    if isinstance(value, Mapping):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return json_ready(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
