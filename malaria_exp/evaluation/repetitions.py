"""One number from several trainings: the mean over seeds or over splits, with an interval that covers the trainings as well as the patients."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import special

# Where the ends of a metric's interval are cut; other metrics lie in [0, 1].
BOUNDS = {"mcc": (-1.0, 1.0), "log_loss": (0.0, math.inf)}
OVER_SEEDS = "mean of {n} trainings on the same test cells; the patients' interval widened by the variance between trainings / {n}"
OVER_SPLITS = (
    "mean over {n} test sets; corrected resampled t (Nadeau and Bengio 2003): variance between test sets x (1/{n} + {ratio:.3g}),"
    " as their training cells overlap"
)


def over_seeds(metric: str, cells: Sequence[Mapping[str, Any]], confidence: float, together: float = 1.0) -> dict[str, Any]:
    """Returns the mean of a metric over n trainings that were tested on the same cells, with an interval that covers new patients and new seeds.

    Patients and seeds are crossed: every training is tested on every patient. The variance of the mean is that over patients plus s^2 / n,
    with s the sample standard deviation of the trainings' values: the two-way clustered variance (Cameron, Gelbach and Miller 2011,
    doi:10.1198/jbes.2010.07136) without its third term, which would only make it smaller. The variance over patients is taken from each end
    of the trainings' own intervals: their mean distance from the values, times `together`, as a mean varies less over patients than a single
    training does. Degrees of freedom by Satterthwaite (1946, doi:10.2307/3002019); equal trainings have the interval of one of them.

    Args:
        metric: its name, by which the interval is cut at what the metric can be.
        cells: of each training, {"value", "low", "high"} and perhaps "patients", the effective number of patients behind the interval.
        confidence: of the intervals, in (0, 1).
        together: standard deviation over patients of the trainings' mean, as a fraction of that of one training, above 0 to 1.

    Returns:
        {"value", "low", "high", "patients", "sd"}: the mean, the interval, the mean number of patients, and s, with n - 1. None where a
        training has no value, or no interval.
    """
    values = [cell["value"] for cell in cells]
    if None in values:
        return {"value": None, "low": None, "high": None, "patients": None, "sd": None}
    mean, deviation = _mean_and_deviation(values)
    known = [cell["patients"] for cell in cells if cell.get("patients") is not None]
    patients = float(np.mean(known)) if len(known) == len(cells) else None
    found: dict[str, Any] = {"value": mean, "low": None, "high": None, "patients": patients, "sd": deviation}
    for sign, end in ((-1, "low"), (1, "high")):
        if all(cell[end] is not None for cell in cells):
            distance = together * float(np.mean([abs(cell[end] - cell["value"]) for cell in cells]))
            found[end] = _cut(metric, mean + sign * _widened(distance, patients, deviation, len(cells), confidence))
    return found


def _widened(distance: float, patients: float | None, deviation: float | None, n: int, confidence: float) -> float:
    """Returns the distance of an interval's end from the mean over n trainings, from that of a single training's end."""
    if not deviation:
        return distance
    freedom = math.inf if patients is None else max(patients - 1, 1.0)
    of_patients = (distance / _quantile(confidence, freedom)) ** 2
    of_seeds = deviation**2 / n
    total = of_patients + of_seeds
    joint = total**2 / (of_patients**2 / freedom + of_seeds**2 / (n - 1))
    return _quantile(confidence, joint) * math.sqrt(total)


def over_splits(metric: str, value: float | None, values: Sequence[float | None], ratio: float, confidence: float) -> dict[str, Any]:
    """Returns a mean over J splits of the same data with the corrected resampled t-interval (Nadeau and Bengio 2003, doi:10.1023/A:1024068626366).

    Trainings on parts of the same data resemble each other, so the variance of their mean is not s^2 / J but about (1/J + n2/n1) s^2, with
    J - 1 degrees of freedom; for repeated k-fold, J counts all folds of all repetitions (Bouckaert and Frank 2004).

    Args:
        metric: see `over_seeds`.
        value: the mean, in the middle of the interval; of repeated k-fold, that of the repetitions' joined folds.
        values: of each test set, (J,).
        ratio: n2/n1, patients of a test set over those that its model has learned from.
        confidence: of the interval, in (0, 1).

    Returns:
        As `over_seeds`; "patients" is None, and "sd" that of the test sets.
    """
    found: dict[str, Any] = {"value": value, "low": None, "high": None, "patients": None, "sd": None}
    known = [one for one in values if one is not None]
    if value is None or len(known) < max(len(values), 2):
        return found
    deviation = float(np.std(known, ddof=1))
    half = _quantile(confidence, len(known) - 1) * deviation * math.sqrt(1 / len(known) + ratio)
    return found | {"low": _cut(metric, value - half), "high": _cut(metric, value + half), "sd": deviation}


def mean_of(values: Sequence[float | None]) -> float | None:
    """Returns the mean; None if one of them is None."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def _mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    # The mean of equal numbers may miss them by a rounding error.
    if len(set(values)) == 1:
        return float(values[0]), 0.0 if len(values) > 1 else None
    return float(np.mean(values)), float(np.std(values, ddof=1))


def _quantile(confidence: float, freedom: float) -> float:
    point = (1 + confidence) / 2
    return float(special.ndtri(point) if math.isinf(freedom) else special.stdtrit(freedom, point))


def _cut(metric: str, end: float) -> float:
    low, high = BOUNDS.get(metric, (0.0, 1.0))
    return min(max(end, low), high)
