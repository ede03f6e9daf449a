"""Half a cosine from the full rate down (Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983)."""

import math
from typing import Any

from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import register
from malaria_exp.config.validation import Duration, Probability
from malaria_exp.training.learning_rate_multiplier import Multiplier, progress, steps_within, warmed_up


@register("schedule", "cosine")
def cosine(length: RunLength, /, *, warmup: Duration = "20%", floor: Probability = 0.0) -> Multiplier:
    """Linear warm-up, then half a cosine down to `floor`.

    Args:
        warmup: how long the rate climbs from zero, such as '10%', '2 epochs', '300 steps' or '5000 examples'.
        floor: what is left of the learning rate at the end, as a fraction of its peak.
    """
    from keras import ops

    start = steps_within(length, "schedule.warmup", warmup)

    def shape(step: Any) -> Any:
        return floor + (1 - floor) * 0.5 * (1 + ops.cos(math.pi * progress(step, start, length)))

    return warmed_up(length, warmup, shape)
