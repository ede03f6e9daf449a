"""Weights saved during training."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from malaria_exp.components.callback._monitoring import Watched
from malaria_exp.config.registry import register
from malaria_exp.config.run_files import CHECKPOINTS
from malaria_exp.config.validation import Duration, PositiveInt
from malaria_exp.training.callback_context import CallbackContext
from malaria_exp.training.learning_rate_multiplier import steps_within
from malaria_exp.training.save_weights import save_weights
from malaria_exp.training.settings import Monitor
from malaria_exp.utils.errors import ConfigError

if TYPE_CHECKING:
    import keras


@register("callback", "checkpoints")
def checkpoints(
    context: CallbackContext,
    /,
    *,
    every: Duration | None = "1 epochs",
    keep: PositiveInt | None = 3,
    monitors: list[Monitor] = [],  # noqa: B006 - never changed, and shown as the default by task=list
) -> "keras.callbacks.Callback":
    """Writes weights to checkpoints/ in the run folder, at regular steps and whenever a metric is better than before.

    Files are step-000500.weights.h5 and best-val_sensitivity.weights.h5; init_from=<file> starts from one. The run's own model is
    the best by trainer.monitor whether or not this callback is used.

    Args:
        every: interval of the regular checkpoints, such as '1 epochs' or '500 steps'; null for none.
        keep: how many of the last regular checkpoints are kept; null for all.
        monitors: validation metrics for each of which the best epoch's weights are kept in a file.
    """
    import keras

    if every is None and not monitors:
        raise ConfigError(
            "callback.checkpoints: nothing to write: give every (such as '1 epochs') or monitors (such as [val_sensitivity])."
        )
    steps = max(steps_within(context.length, "callback.checkpoints.every", every), 1) if every else None
    watched = [Watched(context, f"callback.checkpoints.monitors[{number}]", monitor) for number, monitor in enumerate(monitors)]
    folder = context.folder / CHECKPOINTS

    class Checkpoints(keras.callbacks.Callback):
        """Writes checkpoints and deletes old ones."""

        def write(self, name: str) -> None:
            """Writes the model's weights under a name."""
            folder.mkdir(exist_ok=True)
            path = folder / f"{name}.weights.h5"
            save_weights(context.model, path)

        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            if steps and context.steps_done() % steps == 0:
                self.write(f"step-{context.steps_done():06d}")
                written = sorted(folder.glob("step-*.weights.h5"), key=lambda path: (len(path.name), path.name))
                for old in written[:-keep] if keep else ():
                    old.unlink(missing_ok=True)

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            for one in watched:
                if one.better((logs or {})[one.monitor]):
                    self.write(f"best-{one.monitor}")

        def get_state(self) -> dict[str, Any]:
            return {one.monitor: one.get_state() for one in watched}

        def set_state(self, state: Mapping[str, Any]) -> None:
            for one in watched:
                one.set_state(state[one.monitor])

    return Checkpoints()
