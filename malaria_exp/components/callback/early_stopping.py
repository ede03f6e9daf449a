"""Stops a training that no longer improves (Prechelt 1998, doi:10.1007/3-540-49430-8_3)."""

from typing import TYPE_CHECKING

from malaria_exp.components.callback._monitoring import Watched
from malaria_exp.config.registry import register
from malaria_exp.config.validation import NonNegative, PositiveInt
from malaria_exp.training.callback_context import CallbackContext
from malaria_exp.training.settings import Monitor
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    import keras


@register("callback", "early_stopping")
def early_stopping(
    context: CallbackContext, /, *, monitor: Monitor | None = None, patience: PositiveInt = 5, min_delta: NonNegative = 0.0
) -> "keras.callbacks.Callback":
    """Stops when a validation metric has not become better for some epochs; which weights are kept says trainer.keep.

    With trainer=staged it ends the stage.

    Args:
        monitor: validation metric that is watched, such as val_loss; null for trainer.monitor.
        patience: epochs without a better value after which training stops.
        min_delta: by how much a value must be better to count.
    """
    import keras

    watched = Watched(context, "callback.early_stopping.monitor", monitor, min_delta)

    class EarlyStopping(keras.callbacks.Callback):
        """Sets the model's stop_training."""

        def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
            watched.waited = 0

        get_state, set_state = staticmethod(watched.get_state), staticmethod(watched.set_state)

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            if not watched.better((logs or {})[watched.monitor]) and watched.waited >= patience:
                log.info(
                    f"stopped   after epoch {epoch + 1}: {watched.monitor} was not better than {watched.best:.4f} for {patience} epochs"
                )
                self.model.stop_training = True

    return EarlyStopping()
