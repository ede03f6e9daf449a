"""A constant learning rate that decays exponentially after some epochs."""

from typing import Any

from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import register
from malaria_exp.config.validation import Duration, Positive
from malaria_exp.training.learning_rate_multiplier import Multiplier, warmed_up
from malaria_exp.utils.errors import ConfigError


@register("schedule", "exponential")
def exponential(
    length: RunLength,
    /,
    *,
    warmup: Duration = "0%",
    start: Duration = "3 epochs",
    every: Duration = "1 epoch",
    rate: Positive = 0.1,
    staircase: bool = True,
) -> Multiplier:
    """The full learning rate until `start`, then multiplied by exp(-rate) at regular intervals, as in the notebooks.

    In a run that ends before `start` the rate is constant.

    Args:
        warmup: how long the rate climbs from zero, such as '10%', '2 epochs', '300 steps' or '5000 examples'.
        start: when the decay begins, counted from the first step.
        every: the interval in which the rate is multiplied by exp(-rate).
        rate: the exponent; 0.1 takes 9.5 % off each time.
        staircase: true to drop at the beginning of each interval, the first time at `start`; false to decay smoothly from there.

    Raises:
        ConfigError: `every` rounds to no step.
    """
    from keras import ops

    first, interval = length.unbounded_steps(start), length.unbounded_steps(every)
    if not interval:
        raise ConfigError(f"schedule.every: '{every}' is less than half a step of this run. Give at least '1 step'.")

    def shape(step: Any) -> Any:
        decays = (step - first) / interval
        if staircase:
            # The half avoids a drop that comes a step late, as a division in a graph may be rounded down.
            decays = ops.floor((step - first + 0.5) / interval) + 1
        return ops.exp(-rate * ops.maximum(decays, 0.0))

    return warmed_up(length, warmup, shape)
