"""From a value, its variance and its degrees of freedom to the limits of an interval."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from malaria_exp.evaluation.intervals.clustered_variance import Spread

# Smaller variances are rounding.
NOTHING = 1e-18


def rate_limits(value: Any, spread: Spread, cells: Any, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the limits of a rate: Clopper and Pearson's at the number of independent cells that are worth as much.

    Korn and Graubard 1998, Survey Methodology 24, 193-201: the effective number of cells is p (1 - p) / variance times the squared ratio
    of the t quantiles for cells and for the variance's degrees of freedom, at most the number of cells. Where no patient differs from
    another (no errors at all), each effective patient counts as one observation: nothing tells how alike the cells of a patient are.

    Args:
        value: (...,), in [0, 1].
        spread: its variance, degrees of freedom and effective patients, each (...,).
        cells: (...,), number of cells behind the value.
        confidence: in (0, 1).
    """
    from scipy import special  # see clopper_pearson

    value, tail = np.asarray(value, dtype=np.float64), (1 - confidence) / 2
    some = spread.variance > NOTHING
    longer = special.stdtrit(np.maximum(cells - 1, 1), 1 - tail) / special.stdtrit(spread.df, 1 - tail)
    number = np.minimum(cells, value * (1 - value) / np.where(some, spread.variance, 1) * longer**2)
    number = np.where(some, number, spread.patients)
    return clopper_pearson(value * number, (1 - value) * number, confidence)


def clopper_pearson(hits: Any, misses: Any, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the exact limits of a probability (Clopper and Pearson 1934, https://doi.org/10.1093/biomet/26.4.404).

    Args:
        hits: (...,), of independent observations; need not be a whole number.
        misses: (...,).
        confidence: in (0, 1).
    """
    from scipy import special  # imported late: it takes a fifth of a second, and every start of the program reads this file

    tail = (1 - confidence) / 2
    with np.errstate(invalid="ignore"):
        low = np.where(hits > 0, special.betaincinv(hits, misses + 1, tail), 0.0)
        high = np.where(misses > 0, special.betaincinv(hits + 1, misses, 1 - tail), 1.0)
    return low, high


class Scale(NamedTuple):
    """A scale on which a metric's estimate is nearly normal: the map to it, the map's derivative, and the way back."""

    to: Callable[[float], float]
    derivative: Callable[[float], float]
    back: Callable[[float], float]


LOGIT = Scale(lambda x: np.log(x / (1 - x)), lambda x: 1 / (x * (1 - x)), lambda y: 1 / (1 + np.exp(-np.clip(y, -700, 700))))
LOG = Scale(np.log, lambda x: 1 / x, lambda y: np.exp(np.clip(y, -700, 700)))
FISHER = Scale(np.arctanh, lambda x: 1 / (1 - x * x), np.tanh)


def scale_limits(value: float, spread: Spread, scale: Scale, confidence: float) -> tuple[float, float] | None:
    """Returns t limits around the value on a scale, mapped back; None where nothing varies and the value has no bounds.

    Where nothing varies (every cell right, say), a value with bounds gets those of a rate, an observation for each effective patient.

    Args:
        value: in [0, 1] on LOGIT, positive on LOG, in [-1, 1] on FISHER.
        spread: of the value.
        scale: on which it is nearly normal.
        confidence: in (0, 1).
    """
    from scipy import special  # see clopper_pearson

    if spread.variance <= NOTHING:
        if scale is LOG:
            return None
        low, high = rate_limits((value + 1) / 2 if scale is FISHER else value, spread, 1, confidence)
        return (2 * float(low) - 1, 2 * float(high) - 1) if scale is FISHER else (float(low), float(high))
    half = special.stdtrit(spread.df, (1 + confidence) / 2) * np.sqrt(spread.variance) * scale.derivative(value)
    return float(scale.back(scale.to(value) - half)), float(scale.back(scale.to(value) + half))
