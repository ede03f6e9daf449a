"""Stops a run whose loss is no number any more."""

import math
from typing import TYPE_CHECKING

from malaria_exp.errors import UserError
from malaria_exp.registry import register
from malaria_exp.trainer._course import Course

if TYPE_CHECKING:
    import keras


@register("callback", "nan_guard")
def nan_guard(course: Course, /) -> "keras.callbacks.Callback":
    """Stops a run as soon as its loss is NaN or infinite, and names the step."""
    import keras

    class NanGuard(keras.callbacks.Callback):
        """Looks at the running mean of the loss, which one bad step spoils for the rest of its epoch."""

        def __init__(self) -> None:
            super().__init__()
            self.step = 0

        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            self.step += 1
            loss = (logs or {}).get("loss", 0.0)
            if not math.isfinite(loss):
                raise UserError(f"Training diverged: the loss is {loss} after step {self.step} of {course.length.steps}.")

    return NanGuard()
