"""Intervals by a bootstrap over patients: the method of `interval=bootstrap`.

Whole patients are drawn with replacement (the cluster bootstrap; Field and Welsh 2007, https://doi.org/10.1111/j.1467-9868.2007.00593.x):
every cell gets its patient's multiplicity as a weight. Percentile intervals are too narrow for few patients, as a resample varies less
than a sample by (K - 1) / K and the normal distribution has shorter tails than t: they are expanded (Hesterberg 2015,
https://doi.org/10.1080/00031305.2015.1089789).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import special

from malaria_exp.evaluation.intervals.clustered_variance import effective_patients
from malaria_exp.evaluation.intervals.influence import PatientCells
from malaria_exp.evaluation.intervals.interval_interface import MEANS_OF_PATIENTS, check_confidence, make_cell, no_interval
from malaria_exp.evaluation.metrics import METRICS, Ranking, cell_losses, compute, count, rates
from malaria_exp.utils.errors import ConfigError

# Weights held at once: 2**19 float64 are 4 MiB, which fits into a core's cache.
CHUNK = 2**19
# Smaller differences are rounding.
SAME = 1e-12


def multiplicities(patients: int, resamples: int, seed: int) -> np.ndarray:
    """Returns how often each patient is drawn: int64 (resamples, patients), each row with the sum `patients`."""
    return np.random.default_rng(seed).multinomial(patients, np.full(patients, 1 / patients), size=resamples)


def expanded_tail(patients: float, confidence: float) -> float:
    """Returns the quantile at which an interval ends, of resamples of so many patients; the other end is at 1 minus it.

    Hesterberg 2015, section 5.3: the t interval's length, at the percentiles that a normal distribution has there.
    """
    t = special.stdtrit(patients - 1, (1 - confidence) / 2)
    return float(special.ndtr(t * np.sqrt(patients / (patients - 1))))


class PatientBootstrap:
    """Expanded percentile intervals over resampled patients; an `IntervalMethod`."""

    words = "expanded percentile bootstrap over patients"

    def __call__(
        self,
        labels: np.ndarray,
        scores: np.ndarray,
        patients: np.ndarray,
        thresholds: Mapping[str, float],
        *,
        resamples: int = 1000,
        confidence: float = 0.95,
        seed: int = 0,
    ) -> dict[str, Any]:
        """See `IntervalMethod`.

        Resamples in which a metric is undefined (a resample of healthy patients has no sensitivity) are excluded from its interval; if
        they are more than half there is none, nor where resamples do not differ.
        """
        if resamples < 0:
            raise ConfigError(f"resamples: expected 0 or more. Received: {resamples}")
        check_confidence(confidence)
        labels, scores = np.asarray(labels), np.asarray(scores)
        names, patient = np.unique(np.asarray(patients), return_inverse=True)
        values = {name: compute(labels, scores, threshold) for name, threshold in thresholds.items()}
        plain = compute(labels, scores, 0.5)
        reason = no_interval(names) or (None if resamples else "no resamples were asked for")
        resampled: dict[tuple[str, str], np.ndarray] = {}
        own = {name: _patient_rates(labels, scores, patient, threshold) for name, threshold in thresholds.items()}
        if reason is None:
            drawn = multiplicities(len(names), resamples, seed)
            resampled = _resampled(labels, scores, patient, thresholds, drawn)
            for name, rate in own.items():
                resampled |= {(name, metric): _weighted_means(drawn, column) for metric, column in rate.items()}

        def cell(key: tuple[str, str], value: float) -> dict[str, Any]:
            if key not in resampled:
                return make_cell(value, None, None)
            # Metrics of one class rest on the patients who have its cells.
            of = {"sensitivity": labels == 1, "specificity": labels == 0}.get(key[1], np.full(len(labels), True))
            cells = np.bincount(patient[of], minlength=len(names))
            if key[1] in MEANS_OF_PATIENTS:
                cells = np.isfinite(own[key[0]][key[1]]).astype(int)
            return make_cell(
                value,
                _expanded_percentiles(resampled[key], len(names), confidence),
                float(effective_patients(cells)) if cells.any() else None,
            )

        return {
            "at": {
                name: {m: cell((name, m), values[name][m]) for m in METRICS if METRICS[m].needs_threshold}
                | {m: cell((name, m), float(_weighted_means(np.ones((1, len(names))), column)[0])) for m, column in own[name].items()}
                for name in thresholds
            },
            "ranking": {m: cell(("", m), plain[m]) for m in METRICS if not METRICS[m].needs_threshold},
            "patients": len(names),
            "reason": reason,
        }


def _patient_rates(labels: np.ndarray, scores: np.ndarray, patient: np.ndarray, threshold: float) -> dict[str, np.ndarray]:
    """Returns each patient's sensitivity and specificity, (K,), nan without cells of the class, by the names of their means."""
    cells, predicted = PatientCells.of(labels, scores, patient), (scores >= threshold).astype(np.float64)
    found = np.where(cells.parasitized > 0, cells.means(predicted, 1), np.nan)
    cleared = np.where(cells.uninfected > 0, cells.means(1 - predicted, 0), np.nan)
    return dict(zip(MEANS_OF_PATIENTS, (found, cleared), strict=True))


def _weighted_means(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns the means of values (K,), nan excluded, under weights (R, K): (R,), nan where all weight is on nan."""
    known = np.isfinite(values)
    total = weights[:, known].sum(axis=1)
    return np.divide(weights[:, known] @ values[known], total, out=np.full(len(weights), np.nan), where=total > 0)


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


def _expanded_percentiles(values: np.ndarray, patients: int, confidence: float) -> tuple[float, float] | None:
    defined = values[np.isfinite(values)]
    # Where resamples do not differ (no errors at all, one infected patient) they tell nothing of other patients.
    if len(defined) * 2 < len(values) or np.ptp(defined) < SAME:
        return None
    tail = expanded_tail(patients, confidence)
    low, high = np.quantile(defined, [tail, 1 - tail]).tolist()
    return low, high
