"""Stops a run whose loss is no longer a finite number."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Duration
from malaria_exp.training.callback_context import CallbackContext
from malaria_exp.training.learning_rate_multiplier import steps_within
from malaria_exp.training.save_weights import save_weights
from malaria_exp.utils.errors import UserError

if TYPE_CHECKING:
    import keras

LAST_GOOD_FILE = "last_good.weights.h5"
ADVICE = (
    "Lower optimizer.learning_rate, lengthen schedule.warmup, limit the gradients (optimizer.clip_norm=1) or set trainer.precision=float32."
)


@register("callback", "nan_guard")
def nan_guard(context: CallbackContext, /, *, every: Duration = "1 epochs") -> "keras.callbacks.Callback":
    """Stops a run as soon as its loss is NaN or infinite, names the step, and keeps the last good weights.

    The loss is checked after every step. Weights are copied in memory at regular steps, and written to last_good.weights.h5 in the run
    folder only when the run is stopped.

    Args:
        every: interval at which the weights are copied, if all of them are finite: '1 epochs', '200 steps'.
    """
    import keras

    steps = max(steps_within(context.length, "callback.nan_guard.every", every), 1)

    class NanGuard(keras.callbacks.Callback):
        """Checks the running mean of the loss, which is NaN from a bad step to the end of its epoch."""

        def __init__(self) -> None:
            super().__init__()
            self.good_step = 0
            self.good: list[np.ndarray] = context.model.get_weights()

        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            loss = (logs or {}).get("loss", 0.0)
            if not math.isfinite(loss):
                self.stop(f"the loss is {loss}")
            if context.steps_done() % steps == 0:
                weights = context.model.get_weights()
                bad = [
                    variable.path for variable, value in zip(context.model.weights, weights, strict=True) if not np.isfinite(value).all()
                ]
                if bad:
                    self.stop(f"{len(bad)} of {len(weights)} weights are no numbers, the first of them {bad[0]},")
                self.good, self.good_step = weights, context.steps_done()

        def get_state(self) -> dict[str, Any]:
            return {"good": self.good, "good_step": self.good_step}

        def set_state(self, state: Mapping[str, Any]) -> None:
            self.good, self.good_step = state["good"], int(state["good_step"])

        def stop(self, what: str) -> None:
            """Writes the last good weights and ends the run."""
            path = context.folder / LAST_GOOD_FILE
            context.model.set_weights(self.good)
            save_weights(context.model, path)
            step = context.steps_done()
            epoch = int(context.length.epochs_at(step - 1)) + 1
            since = f"those after step {self.good_step:,}" if self.good_step else "the first ones"
            raise UserError(
                f"Training diverged: {what} after step {step:,} of {context.length.steps:,} (epoch {epoch}). {ADVICE}"
                f" The last good weights, {since}, are in {path}: init_from={path} goes on from them."
            )

    return NanGuard()
