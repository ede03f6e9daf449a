"""The threshold that costs least, when misses and false alarms cost differently."""

from typing import Any

import numpy as np

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Fraction, Positive
from malaria_exp.evaluation.thresholds import HALF, Rates, ThresholdRule, not_above


@register("threshold", "cost")
def cost(*, miss: Positive = 5.0, false_alarm: Positive = 1.0, prevalence: Fraction = 0.5) -> ThresholdRule:
    """The threshold with the smallest expected cost a cell on the validation patients; of equal ones the largest.

    The expected cost is prevalence * (1 - sensitivity) * miss + (1 - prevalence) * (1 - specificity) * false_alarm
    (Metz 1978, doi:10.1016/S0001-2998(78)80014-2).

    Args:
        miss: cost of a parasitized cell that is predicted uninfected.
        false_alarm: cost of an uninfected cell that is predicted parasitized.
        prevalence: fraction of parasitized cells where the model is used; .5 in the NIH set, far less in blood.
    """

    def expected(rates: Rates) -> Any:
        return prevalence * (1 - rates.sensitivity) * miss + (1 - prevalence) * (1 - rates.specificity) * false_alarm

    return ThresholdRule(
        f"the smallest cost on the validation patients, where a miss costs {miss:g}, a false alarm {false_alarm:g}, and {prevalence:.3%} of the"
        " cells are parasitized",
        pick=lambda rates: np.argmin(expected(rates), axis=1),
        promise=f"a cost no larger than that of the threshold {HALF:g}",
        kept=lambda at, at_half: not_above(expected(at), expected(at_half)),
    )
