"""Logistic regression of labels on one or two columns, by Newton's method in numpy: what calibration is fitted and judged with."""

import numpy as np

from malaria_exp.evaluation.predictions import sigmoid

STEPS = 200
# Nats a cell that a step must still gain.
TOLERANCE = 1e-15


def fit_logistic(columns: np.ndarray, targets: np.ndarray, offset: np.ndarray | float = 0.0) -> np.ndarray:
    """Returns the coefficients (k,) of maximum likelihood of logit P = columns @ coefficients + offset.

    The caller sees to it that they exist: the classes overlap, or the targets are smoothed, and no column is a multiple of another one.

    Args:
        columns: (N, k) float64.
        targets: (N,), probabilities in [0, 1], labels 0 and 1 among them.
        offset: (N,), added with a coefficient of 1.
    """
    coefficients = np.zeros(columns.shape[1])

    def loss(found: np.ndarray) -> float:
        logits = columns @ found + offset
        return float(np.mean(np.logaddexp(0, logits) - targets * logits))

    before = loss(coefficients)
    for _ in range(STEPS):
        scores = sigmoid(columns @ coefficients + offset)
        slope = columns.T @ (targets - scores) / len(targets)
        curvature = (columns * (scores * (1 - scores))[:, None]).T @ columns / len(targets)
        # By least squares: where every score is 0 or 1 to the last bit, the curvature is 0.
        step = np.linalg.lstsq(curvature, slope, rcond=None)[0]
        after = loss(coefficients + step)
        while not after < before and np.abs(step).max() > 1e-12:
            step = step / 2
            after = loss(coefficients + step)
        if not before - after > TOLERANCE:
            break
        coefficients, before = coefficients + step, after
    return coefficients


def smoothed_targets(labels: np.ndarray) -> np.ndarray:
    """Returns the targets (N,) that stand for labels (N,) of 0 and 1 where a map is fitted to them (Platt 1999, section 2.2).

    (N+ + 1) / (N+ + 2) for a positive and 1 / (N- + 2) for a negative: what a class of so many cells, all alike, tells of the next one, with
    a uniform prior. So no fit becomes infinitely sure.
    """
    positive = np.asarray(labels) == 1
    many, few = positive.sum(), (~positive).sum()
    return np.where(positive, (many + 1) / (many + 2), 1 / (few + 2))
