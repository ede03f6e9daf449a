"""A learning rate that drops at given times (as in He et al. 2016, https://arxiv.org/abs/1512.03385)."""

from typing import Any

from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import register
from malaria_exp.config.validation import Duration, Fraction
from malaria_exp.training.learning_rate_multiplier import Multiplier, steps_within, warmed_up


@register("schedule", "step")
def step(
    length: RunLength,
    /,
    *,
    warmup: Duration = "0%",
    drops: list[Duration] = ["50%", "75%"],  # noqa: B006 - never changed, and shown as the default by task=list
    factor: Fraction = 0.1,
) -> Multiplier:
    """The full learning rate, multiplied by `factor` at each of the given times.

    Args:
        warmup: how long the rate climbs from zero, such as '10%', '2 epochs', '300 steps' or '5000 examples'.
        drops: the times, each counted from the first step, in any unit and order.
        factor: what the rate is multiplied by at each time.
    """
    from keras import ops

    times = [steps_within(length, f"schedule.drops[{number}]", drop) for number, drop in enumerate(drops)]

    def shape(step: Any) -> Any:
        passed = sum((ops.cast(step >= time, "float32") for time in times), start=step * 0)
        return ops.power(ops.cast(factor, "float32"), passed)

    return warmed_up(length, warmup, shape)
