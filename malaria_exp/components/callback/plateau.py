"""Lowers the learning rate when training no longer improves."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from malaria_exp.components.callback._monitoring import Watched
from malaria_exp.config.registry import register
from malaria_exp.config.validation import Count, Fraction, NonNegative, PositiveInt
from malaria_exp.training.callback_context import CallbackContext
from malaria_exp.training.settings import Monitor
from malaria_exp.utils.errors import ConfigError
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    import keras


@register("callback", "plateau")
def plateau(
    context: CallbackContext,
    /,
    *,
    monitor: Monitor | None = None,
    factor: Fraction = 0.3,
    patience: PositiveInt = 3,
    cooldown: Count = 0,
    floor: NonNegative = 0.001,
    min_delta: NonNegative = 0.0,
) -> "keras.callbacks.Callback":
    """Multiplies the learning rate when a validation metric has not become better for some epochs.

    It multiplies the schedule's rate; with schedule=constant nothing else lowers the rate. With trainer=staged each stage begins at its
    own full rate.

    Args:
        monitor: validation metric that is watched, such as val_loss; null for trainer.monitor.
        factor: what the rate is multiplied by each time.
        patience: epochs without a better value before the rate is lowered.
        cooldown: epochs after a reduction that do not count.
        floor: the rate is never lowered below this fraction of the schedule's.
        min_delta: by how much a value must be better to count.
    """
    import keras

    if floor >= 1:
        raise ConfigError(f"callback.plateau.floor: expected less than 1, the schedule's own rate; received {floor}.")
    watched = Watched(context, "callback.plateau.monitor", monitor, min_delta)

    class Plateau(keras.callbacks.Callback):
        """Changes the context's scale of the rate."""

        def __init__(self) -> None:
            super().__init__()
            self.resting = 0

        def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
            watched.waited, self.resting = 0, 0
            context.rate_scale.assign(1.0)

        def get_state(self) -> dict[str, Any]:
            return {"resting": self.resting, **watched.get_state()}

        def set_state(self, state: Mapping[str, Any]) -> None:
            self.resting = int(state["resting"])
            watched.set_state(state)

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            better = watched.better((logs or {})[watched.monitor])
            if self.resting:
                self.resting -= 1
                watched.waited = 0
            if better or watched.waited < patience:
                return
            scale = float(context.rate_scale.numpy())
            lower = max(scale * factor, floor)
            watched.waited, self.resting = 0, cooldown
            if lower < scale:
                context.rate_scale.assign(lower)
                log.info(
                    f"plateau   after epoch {epoch + 1}: {watched.monitor} was not better than {watched.best:.4f} for {patience} epochs;"
                    f" the learning rate goes on at {lower:.3g} of the schedule's"
                )

    return Plateau()
