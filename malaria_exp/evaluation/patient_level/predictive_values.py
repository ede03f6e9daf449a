"""PPV and NPV at any prevalence, from sensitivity and specificity.

Bayes' theorem: the odds of a parasite are multiplied by the likelihood ratio, of a cell predicted parasitized by LR+ = s / (1 - c), of the
others by LR- = (1 - s) / c. The limits of the ratios follow from those of sensitivity s and specificity c on the log scale (MOVER; Zou and
Donner 2008, https://doi.org/10.1002/sim.3095); as in Mercaldo, Lau and Zhou 2007 (https://doi.org/10.1002/sim.2677), the prevalence is known.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

Cell = Mapping[str, Any]
# Of parasitized cells among all: one half as in picked cells, down to what blood has.
PREVALENCES = (0.5, 0.1, 0.01, 0.001, 0.0001)


class Limits(NamedTuple):
    """A value and its interval; nan where there is none."""

    value: Any
    low: Any
    high: Any


def predictive_values(sensitivity: Cell, specificity: Cell, prevalence: np.ndarray) -> dict[str, Limits]:
    """Returns {"ppv", "npv"}, values and limits of the prevalence's shape, nan where undefined.

    Args:
        sensitivity: cell as in `IntervalMethod`.
        specificity: cell as in `IntervalMethod`.
        prevalence: in (0, 1), known.
    """
    odds = prevalence / (1 - prevalence)
    s, c = _limits(sensitivity), _limits(specificity)
    positive, negative = _ratio(s, _other(c)), _ratio(_other(s), c)
    with np.errstate(divide="ignore", invalid="ignore"):
        # 1 / (1 + 1 / x) is also right where the ratio is infinite.
        ppv = Limits(*(1 / (1 + 1 / (odds * each)) for each in positive))
        npv = Limits(*(1 / (1 + odds * each) for each in negative))
    return {"ppv": ppv, "npv": Limits(npv.value, npv.high, npv.low)}


def _limits(cell: Cell) -> Limits:
    return Limits(*(np.nan if cell[key] is None else cell[key] for key in ("value", "low", "high")))


def _other(rate: Limits) -> Limits:
    """Returns 1 - rate."""
    return Limits(1 - rate.value, 1 - rate.high, 1 - rate.low)


def _ratio(top: Limits, bottom: Limits) -> Limits:
    """Returns the ratio of two rates of different cells; where one of them is 0 its limits are those of the worst case."""
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.divide(top.value, bottom.value)
        if not (top.value > 0 and bottom.value > 0):
            return Limits(value, np.divide(top.low, bottom.high), np.divide(top.high, bottom.low))
        t, b = (np.log(np.array(each)) for each in (top, bottom))
        low = np.log(value) - np.hypot(t[0] - t[1], b[2] - b[0])
        high = np.log(value) + np.hypot(t[2] - t[0], b[0] - b[1])
        return Limits(value, np.exp(low), np.exp(high))
