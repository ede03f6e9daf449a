"""One cycle: straight up, straight down (Smith and Topin 2018, https://arxiv.org/abs/1708.07120)."""

from typing import Any

from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import register
from malaria_exp.config.validation import Duration, Probability
from malaria_exp.training.learning_rate_multiplier import Multiplier, progress, steps_within, warmed_up


@register("schedule", "triangular")
def triangular(length: RunLength, /, *, warmup: Duration = "25%", floor: Probability = 0.02) -> Multiplier:
    """One cycle: linear climb to the full rate, then a straight line down to `floor`.

    Args:
        warmup: how long the rate climbs from zero, such as '30%', '2 epochs', '300 steps' or '5000 examples'.
        floor: what is left of the learning rate at the end, as a fraction of its peak.
    """
    start = steps_within(length, "schedule.warmup", warmup)

    def shape(step: Any) -> Any:
        return 1 - (1 - floor) * progress(step, start, length)

    return warmed_up(length, warmup, shape)
