"""Whether scores are probabilities: slope and intercept, expected calibration error, the parts of the Brier score, the reliability curve.

Slope and intercept are those of logistic recalibration (Van Calster et al. 2019, https://doi.org/10.1186/s12916-019-1466-7, box 1). The
unit is the patient: intervals are Student's t over the patients, with the variance of a jackknife that leaves out one patient at a time.
"""

from typing import Any

import numpy as np

from malaria_exp.evaluation.intervals.clustered_variance import Pull, clustered_variance, effective_patients
from malaria_exp.evaluation.intervals.interval_interface import make_cell
from malaria_exp.evaluation.intervals.limits import rate_limits
from malaria_exp.evaluation.logistic_fit import fit_logistic
from malaria_exp.evaluation.metrics import cell_losses
from malaria_exp.evaluation.predictions import sigmoid

# Of equally many cells for the error, of equal width for the curve.
ERROR_BINS, CURVE_BINS = 15, 10
# Scores are clipped by so much where their logit is taken.
EPSILON = 1e-15


def calibration_metrics(
    labels: np.ndarray,
    scores: np.ndarray,
    patients: np.ndarray | None,
    *,
    confidence: float,
    uncalibrated: np.ndarray | None = None,
) -> dict[str, Any]:
    """Returns how well scores agree with labels.

    Args:
        labels: (N,), 1 = parasitized, 0 = uninfected.
        scores: (N,), probability of parasitized, in [0, 1], as they left the program.
        patients: (N,), two or more, for intervals; None for none.
        confidence: of the intervals, in (0, 1).
        uncalibrated: (N,), the scores before calibration, for comparison.

    Returns:
        {"slope": cell, "intercept": cell, "mean_score", "parasitized": fraction of the cells, "log_loss", "brier", "ece", "reliability",
         "resolution", "uncertainty", "curve": {"score", "fraction", "cells", "low", "high"}, a number for each bin that has cells,
         "uncalibrated": the same of the scores before calibration, or None}
        with cell as in `IntervalMethod`; its patients are the effective number by their information. Limits of the curve are nan where
        a bin has one patient.
    """
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    losses = cell_losses(labels, scores)
    found = {
        **_recalibration(labels, scores, patients, confidence),
        "mean_score": scores.mean(),
        "parasitized": labels.mean(),
        "log_loss": losses[0].mean(),
        "brier": losses[1].mean(),
        **_by_equal_counts(labels, scores),
        "curve": _curve(labels, scores, patients, confidence),
    }
    before = None if uncalibrated is None else calibration_metrics(labels, uncalibrated, patients, confidence=confidence)
    if before is not None:
        del before["uncalibrated"]
    return found | {"uncalibrated": before}


def _recalibration(labels: np.ndarray, scores: np.ndarray, patients: np.ndarray | None, confidence: float) -> dict[str, Any]:
    """Returns slope and intercept of logit P(parasitized) = intercept + slope * logit(score).

    The slope is fitted together with an intercept of its own; below 1 the scores are too sure, above 1 not sure enough. The intercept
    that is reported is fitted with a slope of 1: below 0 the scores are too high on average, above 0 too low.
    """
    clipped = np.clip(scores, EPSILON, 1 - EPSILON)
    logits = np.log(clipped) - np.log1p(-clipped)
    ones, undefined = np.ones((len(logits), 1)), make_cell(np.nan, None, None)
    positive, negative = logits[labels == 1], logits[labels == 0]
    if not (len(positive) and len(negative)):
        return {"slope": undefined, "intercept": undefined}
    found = {"slope": undefined, "intercept": _with_interval(ones, labels, logits, patients, confidence)}
    # Without overlap of the classes the likelihood has no maximum.
    if negative.max() > positive.min() and positive.max() > negative.min():
        found["slope"] = _with_interval(np.append(ones, logits[:, None], axis=1), labels, 0.0, patients, confidence)
    return found


def _with_interval(
    columns: np.ndarray, labels: np.ndarray, offset: np.ndarray | float, patients: np.ndarray | None, confidence: float
) -> dict[str, Any]:
    """Returns the last coefficient of a logistic regression as a cell, its interval by a one-step jackknife over patients."""
    from scipy.stats import t

    coefficients = fit_logistic(columns, labels, offset)
    value = coefficients[-1]
    if patients is None:
        return make_cell(value, None, None)
    names, number = np.unique(patients, return_inverse=True)
    scores = sigmoid(columns @ coefficients + offset)
    pulls = _sums(number, columns * (labels - scores)[:, None])
    products = columns[:, :, None] * columns[:, None, :] * (scores * (1 - scores))[:, None, None]
    information = _sums(number, products.reshape(len(labels), -1)).reshape(len(names), *products.shape[1:])
    effective = float(effective_patients(information[:, -1, -1]))
    rest = information.sum(axis=0) - information
    # Newton's step from the estimate of all patients to that without one of them (Bell and McCaffrey 2002 call its variance CR3).
    steps = -np.einsum("pij,pj->pi", np.linalg.pinv(rest), pulls)[:, -1]
    variance = (len(names) - 1) / len(names) * np.square(steps - steps.mean()).sum()
    reach = float(t.ppf((1 + confidence) / 2, max(effective - 1, 1)) * np.sqrt(variance))
    return make_cell(value, (value - reach, value + reach), effective)


def _sums(number: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns the sums (groups, k) of values (N, k) over the rows of each group number."""
    return np.stack([np.bincount(number, weights=column) for column in values.T], axis=1)


def _by_equal_counts(labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Returns the error and the parts of the Brier score by bins of equally many cells; cells of one score are in one bin.

    Expected calibration error: the mean distance of mean score and fraction of parasitized cells in a bin, bins of equal counts (Nixon et
    al. 2019, https://arxiv.org/abs/1904.01685). Reliability, resolution and uncertainty: Brier = reliability - resolution + uncertainty
    (Murphy 1973), exactly if the scores in a bin are equal.
    """
    values, first = np.unique(np.sort(scores), return_index=True)
    # Equal scores go where the first of them falls, so that the order of the rows does not matter.
    bins = np.arange(len(values)) if len(values) <= ERROR_BINS else first * ERROR_BINS // len(scores)
    number = bins[np.searchsorted(values, scores)]
    cells = np.bincount(number)
    sums = _sums(number, np.stack([scores, labels], axis=1))[cells > 0]
    cells = cells[cells > 0]
    score, fraction = (sums / cells[:, None]).T
    share, overall = cells / len(labels), labels.mean()
    return {
        "ece": float(share @ np.abs(score - fraction)),
        "reliability": float(share @ np.square(score - fraction)),
        "resolution": float(share @ np.square(fraction - overall)),
        "uncertainty": float(overall * (1 - overall)),
    }


def _rate_limits(labels: np.ndarray, patients: np.ndarray, confidence: float) -> tuple[float, float]:
    """Returns the limits of the fraction of cells with label 1."""
    number = np.unique(patients, return_inverse=True)[1]
    cells, hits = np.bincount(number), np.bincount(number, weights=labels)
    if len(cells) < 2:
        return np.nan, np.nan
    own, value = hits / cells, labels.mean()
    spread = clustered_variance([Pull(cells, own - value, hits * (1 - own))])
    low, high = rate_limits(value, spread, len(labels), confidence)
    return float(low), float(high)


def _curve(labels: np.ndarray, scores: np.ndarray, patients: np.ndarray | None, confidence: float) -> dict[str, list[float]]:
    """Returns mean score and fraction of parasitized cells in bins of equal width, with an interval over patients for each."""
    number = np.minimum((scores * CURVE_BINS).astype(int), CURVE_BINS - 1)
    rows = []
    for one in np.unique(number):
        own = number == one
        interval = (np.nan, np.nan) if patients is None else _rate_limits(labels[own], patients[own], confidence)
        rows.append((scores[own].mean(), labels[own].mean(), int(own.sum()), *interval))
    return {name: list(column) for name, column in zip(("score", "fraction", "cells", "low", "high"), zip(*rows, strict=True), strict=True)}
