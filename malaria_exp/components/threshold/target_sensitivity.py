"""The threshold that loses no more parasitized cells than allowed."""

import numpy as np

from malaria_exp.components.threshold._assured import Assurance, on_which
from malaria_exp.config.registry import register
from malaria_exp.config.validation import Fraction
from malaria_exp.evaluation.thresholds import Rates, ThresholdRule, reached


@register("threshold", "target_sensitivity")
def target_sensitivity(*, target: Fraction = 0.95, assurance: Assurance = 0.9) -> ThresholdRule:
    """The largest threshold that reaches a sensitivity; a lower one could only lose specificity.

    Args:
        target: sensitivity, above 0 and below 1.
        assurance: fraction of resampled validation patients on which it reaches the target. On the validation patients alone (null) it
            reaches the target on new patients less than every second time.
    """

    def pick(rates: Rates) -> np.ndarray:
        # The last candidate finds every parasitized cell, but for a rounding error.
        found = rates.sensitivity >= target
        found[:, -1] = True
        return np.argmax(found, axis=1)

    return ThresholdRule(
        f"the largest with a sensitivity of at least {target:g} on {on_which(assurance)}",
        pick=pick,
        promise=f"a sensitivity of at least {target:g}",
        kept=lambda at, _: reached(at.sensitivity, target),
        assurance=assurance,
        needs=("parasitized",),
    )
