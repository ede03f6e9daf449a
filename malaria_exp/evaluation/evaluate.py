"""From predictions to metrics.json: counts, rates with intervals, ranking, patients, at frozen thresholds."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from malaria_exp.data.cell_table import count_cells, rows_by_patient
from malaria_exp.evaluation.calibration_metrics import calibration_metrics
from malaria_exp.evaluation.intervals.interval_interface import PATIENTS_UNKNOWN, IntervalMethod
from malaria_exp.evaluation.metrics import count, rates
from malaria_exp.evaluation.patient_level.patient_level import patient_level
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.thresholds import Threshold, ThresholdRule, choose_thresholds
from malaria_exp.utils.errors import DataError


def evaluate(
    predictions: Predictions,
    *,
    thresholds: Mapping[str, ThresholdRule | Threshold],
    interval: IntervalMethod,
    resamples: int,
    confidence: float,
    seed: int,
    uncalibrated: np.ndarray | None = None,
) -> dict[str, Any]:
    """Computes everything that metrics.json holds.

    Args:
        predictions: of any of the subsets val, test and external.
        thresholds: by name, the one that tables show first: rules, which choose on the validation cells, or thresholds that were chosen
            before; validation cells are then not needed.
        interval: how intervals are computed.
        resamples: of patients, where they are resampled.
        confidence: in (0, 1).
        seed: of everything that is resampled.
        uncalibrated: the scores of the same cells before calibration, (N,), for comparison; None if there was none.

    Returns:
        Plain Python ready for JSON, undefined values as None:
        {"thresholds": {name: {"value", "rule", "promise", "chance"}, see `Threshold`},
         "subsets": {subset: {"counted": as `count_cells` gives it, "at": {threshold name: {"threshold", "tp", "fp", "tn", "fn", metric: cell ...}},
         "ranking": {metric: cell}, "calibration": see `calibration_metrics`, "per_patient": [row, ...], "patient_level": see `patient_level`,
         at the first threshold, None if the patients are not known, "no_interval": None or why}},
         "interval": {"method", "resamples", "confidence", "seed"}}
        with cell and its keys as in `IntervalMethod`, and rows as in `per_patient`.

    Raises:
        ConfigError: a parameter is out of range.
        DataError: neither validation cells nor thresholds are given.
    """
    frozen = _frozen(predictions, thresholds, resamples, seed)
    values = {name: threshold.value for name, threshold in frozen.items()}
    subsets = {}
    settings: dict[str, Any] = {"resamples": resamples, "confidence": confidence, "seed": seed}
    first = next(iter(values))
    for name in predictions.subsets:
        cells = predictions.select(name)
        intervals = interval(cells.label, cells.score, cells.patient, values, **settings)
        at = {
            key: {"threshold": value, **vars(count(cells.label, cells.score, value)), **intervals["at"][key]}
            for key, value in values.items()
        }
        subsets[name] = {
            "counted": count_cells(cells.label, cells.patient),
            "at": at,
            "ranking": intervals["ranking"],
            "calibration": calibration_metrics(
                cells.label,
                cells.score,
                None if intervals["reason"] else cells.patient,
                confidence=confidence,
                uncalibrated=None if uncalibrated is None else uncalibrated[predictions.subset == name],
            ),
            "per_patient": per_patient(cells, values),
            "patient_level": None
            if intervals["reason"] == PATIENTS_UNKNOWN
            else patient_level(
                cells.label, cells.score >= values[first], cells.patient, intervals["at"][first], interval=interval, **settings
            ),
            "no_interval": intervals["reason"],
        }
    data = {
        "thresholds": {name: vars(threshold) for name, threshold in frozen.items()},
        "subsets": subsets,
        "interval": {"method": interval.words, "resamples": int(resamples), "confidence": float(confidence), "seed": int(seed)},
    }
    return json_ready(data)


def _frozen(
    predictions: Predictions, thresholds: Mapping[str, ThresholdRule | Threshold], resamples: int, seed: int
) -> dict[str, Threshold]:
    """Returns the thresholds, those of rules chosen on the validation cells."""
    rules = {name: found for name, found in thresholds.items() if isinstance(found, ThresholdRule)}
    chosen: dict[str, Threshold] = {}
    if rules:
        if "val" not in predictions.subsets:
            raise DataError(
                "Expected validation cells to choose a threshold on, or thresholds of an earlier run. "
                f"Received: cells of {', '.join(predictions.subsets)} only."
            )
        val = predictions.select("val")
        chosen = choose_thresholds(rules, val.label, val.score, val.patient, resamples=resamples, seed=seed)
    return {name: found if isinstance(found, Threshold) else chosen[name] for name, found in thresholds.items()}


def per_patient(cells: Predictions, thresholds: Mapping[str, float]) -> list[dict[str, Any]]:
    """Returns a row a patient, in the order of their names.

    Each is {"patient", "cells", "parasitized", "uninfected", "infected": bool, "mean_score", "at": {threshold name: {"tp", "fp", "tn",
    "fn", and every rate}}}; a rate is nan where the patient lacks the cells for it.
    """
    rows = []
    for name, own in rows_by_patient(cells.patient):
        labels, scores = cells.label[own], cells.score[own]
        counts = {key: count(labels, scores, value) for key, value in thresholds.items()}
        rows.append(
            {
                "patient": name,
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
