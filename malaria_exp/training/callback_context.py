"""What callbacks know of their training."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from malaria_exp.config.durations import RunLength
from malaria_exp.evaluation.metrics import METRICS, Direction, direction
from malaria_exp.utils.errors import ConfigError

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, eq=False)
class CallbackContext:
    """The facts of a training that its callbacks are built with.

    Attributes:
        folder: the run's folder.
        length: of the whole training.
        monitor: the validation metric that chooses the best epoch.
        model: the model, whose weights callbacks may read and write to files.
        rate_scale: float32 scalar that multiplies the scheduled learning rate, 1 unless a callback changes it; it acts from the
            next step on.
        own_metrics: {name: better direction} of the validation metrics that the run's `metric` options add, such as "val_tp".
        steps_done: returns the number of steps that are done, of the whole run.
    """

    folder: Path
    length: RunLength
    monitor: str
    model: "keras.Model"
    rate_scale: "keras.Variable"
    own_metrics: Mapping[str, Direction | None] = field(default_factory=dict)
    steps_done: Callable[[], int] = lambda: 0

    def direction(self, monitor: str, path: str = "monitor") -> Direction:
        """Returns which way is better for a validation metric.

        Args:
            monitor: its name, such as "val_auc".
            path: where it stands in the config, for messages.

        Raises:
            ConfigError: there is no such metric, or its better direction is unknown.
        """
        if self.own_metrics.get(monitor, "max") is None:
            ordered = ", ".join(sorted(name for name, better in self.own_metrics.items() if better))
            raise ConfigError(
                f"{path}: the better direction of '{monitor}' is not known, so it cannot choose. Allowed: val_loss, val_ and one of"
                f" {', '.join(METRICS)}{f', and {ordered}' if ordered else ''}. A metric of your own says it with `direction`."
            )
        return self.own_metrics.get(monitor) or direction(monitor, path)
