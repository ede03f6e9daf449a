"""What every schedule shares: the warm-up, and the progress of the rest of the run."""

from collections.abc import Callable
from typing import Any

from malaria_exp.durations import RunLength

# Step (0 before the first update; number or tensor) -> factor of the optimizer's learning rate, float32 in [0, 1].
Factor = Callable[[Any], Any]


def warmed_up(length: RunLength, warmup: str, shape: Callable[[Any], Any]) -> Factor:
    """Returns the factor that climbs linearly over the warm-up, then follows `shape`.

    Args:
        length: of the run.
        warmup: a duration. The first step's factor is 1 / (steps of warm-up), never zero: no step is wasted.
        shape: progress of the rest of the run, float32 from 0 at the end of the warm-up to 1 at the last step, to a factor.
    """
    from keras import ops

    rising = length.in_steps(warmup)
    falling = max(length.steps - rising - 1, 1)

    def factor(step: Any) -> Any:
        step = ops.cast(step, "float32")
        progress = ops.clip((step - rising) / falling, 0.0, 1.0)
        return ops.where(step < rising, (step + 1) / max(rising, 1), shape(progress))

    return factor
