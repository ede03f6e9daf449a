"""What callbacks that watch a validation metric share."""

import math
from collections.abc import Mapping
from typing import Any

from malaria_exp.training.callback_context import CallbackContext


class Watched:
    """A validation metric, its best value so far, and the number of epochs since then.

    Args:
        context: facts of the training.
        path: config path of its name.
        monitor: name of the metric; None for the trainer's.
        min_delta: by how much a value must be better to count.

    Raises:
        ConfigError: there is no such metric, or its better direction is unknown.
    """

    def __init__(self, context: CallbackContext, path: str, monitor: str | None, min_delta: float = 0.0) -> None:
        self.monitor = monitor or context.monitor
        self.sign = 1 if context.direction(self.monitor, path) == "max" else -1
        self.min_delta = min_delta
        self.best, self.waited = math.nan, 0

    def better(self, value: float) -> bool:
        """Records an epoch's value and returns whether it is the best so far; NaN never is."""
        if not math.isnan(value) and (math.isnan(self.best) or self.sign * (value - self.best) > self.min_delta):
            self.best, self.waited = value, 0
            return True
        self.waited += 1
        return False

    def get_state(self) -> dict[str, Any]:
        """Returns what a run that goes on takes over, see `training.callback_context.read_states`."""
        return {"best": self.best, "waited": self.waited}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Takes it over."""
        self.best, self.waited = float(state["best"]), int(state["waited"])
