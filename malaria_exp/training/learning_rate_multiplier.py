"""What every schedule shares: durations checked against the run, the warm-up, and the progress within the run."""

import re
from collections.abc import Callable
from typing import Any

from malaria_exp.config.durations import RunLength
from malaria_exp.utils.errors import ConfigError

# Step (0 before the first update; number or tensor) -> multiplier of the optimizer's learning rate, float32 in [0, 1].
Multiplier = Callable[[Any], Any]


def warmed_up(length: RunLength, warmup: str, shape: Callable[[Any], Any]) -> Multiplier:
    """Returns `shape`, multiplied by a ramp that rises linearly to 1 over the warm-up.

    Args:
        length: of the run.
        warmup: a duration. The ramp begins at 1 / (steps of warm-up): at zero the first step would change nothing.
        shape: step, float32 from 0, to a multiplier.

    Raises:
        ConfigError: the warm-up is longer than the run.
    """
    from keras import ops

    rising = max(steps_within(length, "schedule.warmup", warmup), 1)

    def multiplier(step: Any) -> Any:
        step = ops.cast(step, "float32")
        return ops.minimum((step + 1) / rising, 1.0) * shape(step)

    return multiplier


def progress(step: Any, start: int, length: RunLength) -> Any:
    """Returns how far a step is between step `start` and the run's last, float32 in [0, 1]."""
    from keras import ops

    return ops.clip((step - start) / max(length.steps - 1 - start, 1), 0.0, 1.0)


def steps_within(length: RunLength, path: str, duration: str) -> int:
    """Returns a duration in steps; one longer than the run is a ConfigError.

    Args:
        length: of the run.
        path: where the duration stands in the config.
        duration: such as "10%" or "2 epochs".
    """
    steps = length.unbounded_steps(duration)
    if steps > length.steps:
        known = f"{length.epochs:,} epochs"
        if re.search("step|example", duration):
            # Only these depend on how many batches an epoch has.
            known = f"{length.steps:,} steps: {length.describe()}"
        raise ConfigError(f"{path}: '{duration}' is longer than the run ({known}). Give at most '100%', or raise trainer.epochs.")
    return steps
