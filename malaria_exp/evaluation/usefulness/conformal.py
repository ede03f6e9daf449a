"""A threshold that bounds the fraction of a new patient's parasitized cells that are missed: conformal risk control over patients.

Angelopoulos, Bates, Fisch, Lei and Schuster 2024 (https://arxiv.org/abs/2208.02814): with n patients for calibration, exchangeable with the new
one, the largest threshold at which (sum of their missed fractions + 1) / (n + 1) is at most alpha misses, averaged over draws of all n + 1
patients, at most alpha of the new patient's parasitized cells. With fewer than 1 / alpha - 1 patients no threshold can promise that: even
if nothing is missed in them, the next one may be missed altogether.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from malaria_exp.evaluation.intervals.interval_interface import MEANS_OF_PATIENTS, IntervalMethod, complement
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.thresholds import HALF

# Fractions of a patient's parasitized cells that are missed at most, on average over patients.
ALPHAS = (0.05, 0.1)
MISSED = next(name for name, rate in MEANS_OF_PATIENTS.items() if rate == "sensitivity")


def patients_needed(alpha: float) -> int:
    """Returns the smallest number of infected patients with which a bound alpha in (0, 1) can be promised."""
    return math.ceil(1 / alpha - 1 - 1e-9)


def conformal_threshold(labels: np.ndarray, scores: np.ndarray, patients: np.ndarray, alpha: float) -> float | None:
    """Returns the largest threshold that promises the bound; None with too few patients.

    Args:
        labels: (N,), 1 = parasitized, 0 = uninfected, of the calibration cells.
        scores: (N,).
        patients: (N,).
        alpha: of a patient's parasitized cells, the fraction missed at most, in (0, 1).
    """
    positive = labels == 1
    _, patient, cells = np.unique(patients[positive], return_inverse=True, return_counts=True)
    if len(cells) < patients_needed(alpha):
        return None
    levels, level = np.unique(scores[positive], return_inverse=True)
    lost = np.bincount(level, 1 / cells[patient], len(levels))
    # Missed at a threshold are the cells below it.
    missed = np.cumsum(lost) - lost
    return float(levels[np.flatnonzero((missed + 1) / (len(cells) + 1) <= alpha + 1e-12)[-1]])


def conformal(
    cells: Predictions, calibration: Sequence[Predictions], sets: np.ndarray, *, interval: IntervalMethod, **settings: Any
) -> list[dict[str, Any]]:
    """Returns for each of ALPHAS the thresholds and what they miss in the patients of a subset, who had no part in choosing them.

    Args:
        cells: of one subset.
        calibration: sets of cells of other patients; of several, each threshold is for some of `cells`.
        sets: int (N,), the number of the calibration set of each of `cells`.
        interval: how intervals are computed.
        **settings: resamples, confidence and seed of `interval`.

    Returns:
        [{"alpha", "patients": infected ones for calibration, of the smallest set, "needed", "threshold": mean over sets, None with too few
        patients, "missed": cell, the mean fraction of a patient's parasitized cells, "specificity": cell}, ...], cells as in `IntervalMethod`.
    """
    rows = []
    infected = [len(np.unique(one.patient[one.label == 1])) for one in calibration]
    for alpha in ALPHAS:
        row: dict[str, Any] = {"alpha": alpha, "patients": min(infected, default=0), "needed": patients_needed(alpha)}
        chosen = [conformal_threshold(one.label, one.score, one.patient, alpha) for one in calibration]
        known = [value for value in chosen if value is not None]
        if not known or len(known) < len(chosen):
            rows.append(row | {"threshold": None, "missed": None, "specificity": None})
            continue
        predicted = (cells.score >= np.array(known)[sets]).astype(np.float64)
        found = interval(cells.label, predicted, cells.patient, {"own": HALF}, **settings)["at"]["own"]
        rows.append(row | {"threshold": float(np.mean(known)), "missed": complement(found[MISSED]), "specificity": found["specificity"]})
    return rows
