"""Prints the loss during training."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Duration
from malaria_exp.training.callback_context import CallbackContext
from malaria_exp.training.learning_rate_multiplier import steps_within
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    import keras


@register("callback", "loss_printer")
def loss_printer(context: CallbackContext, /, *, every: Duration = "10%") -> "keras.callbacks.Callback":
    """Prints loss and metrics of the epoch so far at regular steps, in lines that remain in the terminal.

    Args:
        every: interval between two lines, such as '20 steps', '1 epochs' or '10%'.
    """
    import keras

    steps = max(steps_within(context.length, "callback.loss_printer.every", every), 1)

    class LossPrinter(keras.callbacks.Callback):
        """Prints after every so many steps."""

        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            if context.steps_done() % steps == 0:
                values = "  ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items())
                log.info(f"step {context.steps_done():>6,}/{context.length.steps:,}  {values}")

    return LossPrinter()
