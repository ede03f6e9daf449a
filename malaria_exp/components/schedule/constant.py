"""A constant learning rate."""

from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import register
from malaria_exp.config.validation import Duration
from malaria_exp.training.learning_rate_multiplier import Multiplier, warmed_up


@register("schedule", "constant")
def constant(length: RunLength, /, *, warmup: Duration = "0%") -> Multiplier:
    """The full learning rate throughout, after an optional linear warm-up.

    Args:
        warmup: how long the rate climbs from zero, such as '10%', '2 epochs', '300 steps' or '5000 examples'.
    """
    return warmed_up(length, warmup, lambda step: step * 0 + 1)
