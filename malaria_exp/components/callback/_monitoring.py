"""What callbacks that watch a validation metric share."""

import math

from malaria_exp.training.callback_context import CallbackContext


class Watched:
    """A validation metric, its best value so far, and since how many epochs it has not been beaten.

    Args:
        course: of the training.
        path: where its name stands in the config.
        monitor: name of the metric; None for the trainer's.
        min_delta: by how much a value must be better to count.

    Raises:
        ConfigError: there is no such metric, or nobody says which way is better.
    """

    def __init__(self, course: CallbackContext, path: str, monitor: str | None, min_delta: float = 0.0) -> None:
        self.monitor = monitor or course.monitor
        self.sign = 1 if course.direction(self.monitor, path) == "max" else -1
        self.min_delta = min_delta
        self.best, self.waited = math.nan, 0

    def better(self, value: float) -> bool:
        """Takes an epoch's value in and tells whether it is the best so far; a value that is no number never is."""
        if not math.isnan(value) and (math.isnan(self.best) or self.sign * (value - self.best) > self.min_delta):
            self.best, self.waited = value, 0
            return True
        self.waited += 1
        return False
