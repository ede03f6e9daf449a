"""The patient chapter of metrics.json: what the predictions of cells say of patients."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from malaria_exp.evaluation.intervals.interval_interface import IntervalMethod, make_cell
from malaria_exp.evaluation.patient_level.agreement import agreement
from malaria_exp.evaluation.patient_level.detection import detection_limits
from malaria_exp.evaluation.patient_level.parasitized_fraction import parasitized_fraction
from malaria_exp.evaluation.patient_level.patient_counts import PatientCounts
from malaria_exp.evaluation.patient_level.predictive_values import PREVALENCES, predictive_values


def patient_level(
    labels: np.ndarray,
    predicted: np.ndarray,
    patients: np.ndarray,
    rates: Mapping[str, Any],
    *,
    interval: IntervalMethod,
    confidence: float,
    **settings: Any,
) -> dict[str, Any]:
    """Returns what the predictions of cells say of patients.

    Args:
        labels: (N,), 1 = parasitized, 0 = uninfected.
        predicted: bool (N,), predicted parasitized.
        patients: (N,), known.
        rates: sensitivity and specificity of these predictions, as in `IntervalMethod`.
        interval: how the interval of the patients' AUC is computed.
        confidence: of the intervals, in (0, 1).
        **settings: resamples and seed of `interval`.

    Returns:
        {"auc": cell, of telling infected from healthy patients by the fraction of cells predicted parasitized,
         "agreement": {"predicted", "corrected": see `agreement`; None where there is none},
         "detection": see `detection_limits`,
         "predictive_values": [{"prevalence", "ppv": cell, "npv": cell}, ...],
         "fractions": [{"labeled", "predicted", "corrected", "low", "high"}, ...], a row a patient in the order of their names, see
         `parasitized_fraction`}
        with cell as in `IntervalMethod`.
    """
    counts = PatientCounts.of(labels, predicted, patients)
    fraction = parasitized_fraction(counts, confidence)
    auc = interval(counts.infected.astype(int), counts.predicted, counts.names, {}, confidence=confidence, **settings)["ranking"]["auc"]
    known = np.isfinite(fraction.value)
    columns = zip(counts.labeled, counts.predicted, fraction.value, fraction.low, fraction.high, strict=True)
    values = predictive_values(rates["sensitivity"], rates["specificity"], np.array(PREVALENCES))
    by_prevalence = {name: zip(*found, strict=True) for name, found in values.items()}
    return {
        "auc": auc,
        "agreement": {
            "predicted": agreement(counts.predicted - counts.labeled, confidence),
            "corrected": agreement((fraction.value - counts.labeled)[known], confidence),
        },
        "detection": detection_limits(counts, confidence),
        "predictive_values": [
            {"prevalence": prevalence} | {name: _cell(*next(found)) for name, found in by_prevalence.items()} for prevalence in PREVALENCES
        ],
        "fractions": [dict(zip(("labeled", "predicted", "corrected", "low", "high"), map(float, row), strict=True)) for row in columns],
    }


def _cell(value: float, low: float, high: float) -> dict[str, float | None]:
    return make_cell(value, (float(low), float(high)) if np.isfinite(low + high) else None, None)
