"""The threshold that gives no more false alarms than allowed."""

import numpy as np

from malaria_exp.components.threshold._assured import Assurance, on_which
from malaria_exp.config.registry import register
from malaria_exp.config.validation import Fraction
from malaria_exp.evaluation.thresholds import Rates, ThresholdRule, reached


@register("threshold", "target_specificity")
def target_specificity(*, target: Fraction = 0.95, assurance: Assurance = 0.9) -> ThresholdRule:
    """The smallest threshold that reaches a specificity; a higher one could only lose sensitivity.

    Args:
        target: specificity, above 0 and below 1.
        assurance: fraction of resampled validation patients on which it reaches the target; null for the validation patients alone.
    """

    def pick(rates: Rates) -> np.ndarray:
        # Specificity falls along the candidates. Where the first does not reach the target, as uninfected cells have the score 1, none does.
        return (rates.specificity >= np.minimum(target, rates.specificity[:, :1])).sum(axis=1) - 1

    return ThresholdRule(
        f"the smallest with a specificity of at least {target:g} on {on_which(assurance)}",
        pick=pick,
        promise=f"a specificity of at least {target:g}",
        kept=lambda at, _: reached(at.specificity, target),
        assurance=assurance,
        needs=("uninfected",),
        cautious="high",
    )
