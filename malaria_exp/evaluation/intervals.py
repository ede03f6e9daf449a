"""Confidence intervals by a bootstrap over patients.

Cells of one patient resemble each other: an interval over cells is several times too narrow. Here whole patients are drawn with
replacement (the cluster bootstrap; Field and Welsh 2007): every cell gets its patient's multiplicity as a weight.
Percentile intervals (Efron and Tibshirani 1993).
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from malaria_exp.data.cell_table import UNKNOWN
from malaria_exp.evaluation.metrics import METRICS, Ranking, cell_losses, compute, count, rates
from malaria_exp.utils.errors import ConfigError

PATIENTS_UNKNOWN = "the patients are not known"
# Weights held at once: 2**19 float64 are 4 MiB, which fits into a core's cache.
CHUNK = 2**19


class IntervalMethod(Protocol):
    """Computes every metric with its interval over patients: what the options of the group `interval` build."""

    words: str

    def __call__(
        self,
        labels: np.ndarray,
        scores: np.ndarray,
        patients: np.ndarray,
        thresholds: Mapping[str, float],
        *,
        resamples: int,
        confidence: float,
        seed: int,
    ) -> dict[str, Any]:
        """Returns what `patient_bootstrap` returns, of the same arguments."""


class PatientBootstrap:
    """`patient_bootstrap` as a method of intervals."""

    words = "percentile bootstrap over patients"

    def __call__(self, *cells: Any, **settings: Any) -> dict[str, Any]:
        """See `patient_bootstrap`."""
        return patient_bootstrap(*cells, **settings)


def multiplicities(patients: int, resamples: int, seed: int) -> np.ndarray:
    """Returns how often each patient is drawn: int64 (resamples, patients), each row with the sum `patients`."""
    return np.random.default_rng(seed).multinomial(patients, np.full(patients, 1 / patients), size=resamples)


def patient_bootstrap(
    labels: np.ndarray,
    scores: np.ndarray,
    patients: np.ndarray,
    thresholds: Mapping[str, float],
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int,
) -> dict[str, Any]:
    """Computes every metric with its interval.

    Args:
        labels: (N,), 1 = parasitized, 0 = uninfected.
        scores: (N,), probability of parasitized, in [0, 1].
        patients: (N,), the patient of each cell. The order of the rows does not change the draws.
        thresholds: by name.
        resamples: number of resamples; 0 for no intervals.
        confidence: in (0, 1).
        seed: of the draws.

    Returns:
        {"at": {threshold name: {metric: cell}}, "ranking": {metric: cell}, "patients": K, "reason": None or why there is no interval},
        where cell is {"value", "low", "high", "undefined"}: "undefined" counts the resamples without a value (a resample of healthy
        patients has no sensitivity); they are excluded from the interval, and if they are more than half there is none. None stands for undefined.

    Raises:
        ConfigError: resamples or confidence is out of range.
    """
    if resamples < 0:
        raise ConfigError(f"resamples: expected 0 or more. Received: {resamples}")
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence: expected a number between 0 and 1. Received: {confidence}")
    names, patient = np.unique(np.asarray(patients), return_inverse=True)
    values = {name: compute(labels, scores, threshold) for name, threshold in thresholds.items()}
    plain = compute(labels, scores, 0.5)
    reason = _no_interval(names, resamples)
    resampled: dict[tuple[str, str], np.ndarray] = {}
    if reason is None:
        drawn = multiplicities(len(names), resamples, seed)
        resampled = _resampled(np.asarray(labels), np.asarray(scores), patient, thresholds, drawn)

    def cell(key: tuple[str, str], value: float) -> dict[str, Any]:
        return {"value": None if np.isnan(value) else value, **_percentiles(resampled.get(key), confidence)}

    return {
        "at": {name: {m: cell((name, m), values[name][m]) for m in METRICS if METRICS[m].needs_threshold} for name in thresholds},
        "ranking": {m: cell(("", m), plain[m]) for m in METRICS if not METRICS[m].needs_threshold},
        "patients": len(names),
        "reason": reason,
    }


def _no_interval(patients: np.ndarray, resamples: int) -> str | None:
    if UNKNOWN in patients:
        return PATIENTS_UNKNOWN
    if resamples == 0:
        return "no resamples were asked for"
    return "one patient only" if len(patients) == 1 else None


def _resampled(
    labels: np.ndarray, scores: np.ndarray, patient: np.ndarray, thresholds: Mapping[str, float], drawn: np.ndarray
) -> dict[tuple[str, str], np.ndarray]:
    """Returns the values of the resamples, each (resamples,), by (threshold name or "", metric)."""
    ranking = Ranking(labels, scores)
    losses = np.stack([*cell_losses(labels, scores), np.ones(len(labels))], axis=1)
    chunks: list[dict[tuple[str, str], np.ndarray]] = []
    rows = max(1, CHUNK // len(labels))
    for start in range(0, len(drawn), rows):
        weights = drawn[start : start + rows, patient].astype(np.float64)
        chunk: dict[tuple[str, str], np.ndarray] = {}
        for name, threshold in thresholds.items():
            for metric, value in rates(count(labels, scores, threshold, weights)).items():
                chunk[name, metric] = value
        chunk["", "auc"], chunk["", "average_precision"] = ranking.auc_and_average_precision(weights)
        log_loss, brier, total = (weights @ losses).T
        chunk["", "log_loss"], chunk["", "brier"] = log_loss / total, brier / total
        chunks.append(chunk)
    return {key: np.concatenate([chunk[key] for chunk in chunks]) for key in chunks[0]}


def _percentiles(values: np.ndarray | None, confidence: float) -> dict[str, Any]:
    if values is None:
        return {"low": None, "high": None, "undefined": 0}
    defined = values[np.isfinite(values)]
    undefined = len(values) - len(defined)
    if undefined * 2 > len(values):
        return {"low": None, "high": None, "undefined": undefined}
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2]).tolist()
    return {"low": low, "high": high, "undefined": undefined}


def roc_band(
    labels: np.ndarray,
    scores: np.ndarray,
    patients: np.ndarray,
    grid: np.ndarray,
    *,
    resamples: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns the pointwise band of the ROC curve over resampled patients, or None if it is undefined.

    Args:
        labels: (N,), 1 = parasitized, 0 = uninfected.
        scores: (N,).
        patients: (N,).
        grid: (G,), false positive rates in [0, 1], rising.
        resamples: number of resamples; those with one class are excluded.
        confidence: of each point, in (0, 1).
        seed: of the draws.

    Returns:
        Sensitivities (low, high), each (G,), in [0, 1].
    """
    names, patient = np.unique(np.asarray(patients), return_inverse=True)
    if _no_interval(names, resamples):
        return None
    ranking = Ranking(labels, scores)
    curves = []
    for row in multiplicities(len(names), resamples, seed):
        tp, fp = ranking.curve(row[patient])
        if tp[-1] > 0 and fp[-1] > 0:
            curves.append(np.interp(grid, np.append(0.0, fp / fp[-1]), np.append(0.0, tp / tp[-1])))
    if len(curves) * 2 < resamples:
        return None
    low, high = np.quantile(curves, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return low, high
