"""The threshold of Youden's index (1950, doi:10.1002/1097-0142(1950)3:1<32::aid-cncr2820030106>3.0.co;2-3)."""

import numpy as np

from malaria_exp.config.registry import register
from malaria_exp.evaluation.thresholds import HALF, ThresholdRule, not_above


@register("threshold", "youden")
def youden() -> ThresholdRule:
    """The threshold with the largest sum of sensitivity and specificity on the validation patients; of equal ones the largest."""
    return ThresholdRule(
        "the largest sum of sensitivity and specificity on the validation patients",
        pick=lambda rates: np.argmax(rates.sensitivity + rates.specificity, axis=1),
        promise=f"a sum of sensitivity and specificity no smaller than that of the threshold {HALF:g}",
        kept=lambda at, at_half: not_above(-sum(at), -sum(at_half)),
    )
