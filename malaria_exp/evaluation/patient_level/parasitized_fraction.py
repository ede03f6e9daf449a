"""The fraction of parasitized cells of a patient, corrected for the model's errors, with an interval.

Rogan and Gladen 1978 (https://doi.org/10.1093/oxfordjournals.aje.a112510): with sensitivity s and specificity c, the fraction q of cells
that is predicted parasitized stands for a true fraction p = (q + c - 1) / (s + c - 1).

The interval holds every p at which q is no surprise in a new patient: |q - p s - (1 - p)(1 - c)| is at most t standard deviations. A
patient's own s and c differ from those of others; that, the errors of s and c, and the chance in its n cells make the variance
p^2 (between_s + error_s) + (1 - p)^2 (between_c + error_c) + (p within_s + (1 - p) within_c) / n, so the limits solve a quadratic equation
(as Fieller's do). Intervals such as that of Lang and Reiczigel 2014 (https://doi.org/10.1016/j.prevetmed.2013.09.015) take s and c to be
the same in every patient; benchmarks/patient_level.py compares both.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from malaria_exp.evaluation.patient_level.patient_counts import PatientCounts, RateSpread


@dataclass(frozen=True, eq=False)
class ParasitizedFraction:
    """The corrected fraction of each patient and its limits, each float64 (K,), in [0, 1]; nan where nothing can be said."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def parasitized_fraction(counts: PatientCounts, confidence: float) -> ParasitizedFraction:
    """Returns each patient's fraction, corrected by what is known of all other patients.

    Nothing can be said where the others have fewer than two patients with cells of a class, or the model does no better than a coin.

    Args:
        counts: of the patients.
        confidence: of the intervals for the fraction among these cells, in (0, 1).
    """
    sensitivity, specificity = counts.sensitivity(of_others=True), counts.specificity(of_others=True)
    better = sensitivity.rate + specificity.rate - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where(better > 0, np.clip((counts.predicted + specificity.rate - 1) / better, 0, 1), np.nan)
    df = np.maximum(np.minimum(sensitivity.patients, specificity.patients) - 1, 1)
    reach = special.stdtrit(df, (1 + confidence) / 2)
    low, high = plausible_fractions(counts.predicted, sensitivity, specificity, counts.cells, reach)
    return ParasitizedFraction(value, *(np.where(np.isfinite(value), limit, np.nan) for limit in (low, high)))


def plausible_fractions(
    predicted: np.ndarray, sensitivity: RateSpread, specificity: RateSpread, cells: np.ndarray | float, reach: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the smallest and the largest true fraction at which the predicted one lies within so many standard deviations, in [0, 1].

    Args:
        predicted: fraction of the cells, (...,).
        sensitivity: of new patients.
        specificity: of new patients.
        cells: of a patient.
        reach: in standard deviations.
    """
    better, alarms = sensitivity.rate + specificity.rate - 1, 1 - specificity.rate
    of_s, of_c = sensitivity.between + sensitivity.error, specificity.between + specificity.error
    away, squared = predicted - alarms, np.square(reach)
    # a p^2 + b p + c <= 0
    a = better**2 - squared * (of_s + of_c)
    b = -2 * better * away + squared * (2 * of_c - (sensitivity.within - specificity.within) / cells)
    c = away**2 - squared * (of_c + specificity.within / cells)
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(np.maximum(b * b - 4 * a * c, 0))
        low, high = (-b - root) / (2 * a), (-b + root) / (2 * a)
    # Patients differ so much that no fraction is a surprise.
    nothing = a <= 0
    return np.where(nothing, 0.0, np.clip(low, 0, 1)), np.where(nothing, 1.0, np.clip(high, 0, 1))
