"""TensorFlow's profiler over a few steps."""

import statistics
import time
from typing import TYPE_CHECKING, Any

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Duration, PositiveInt
from malaria_exp.training.callback_context import CallbackContext
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    import keras


@register("callback", "profile")
def profile(context: CallbackContext, /, *, start: Duration = "10 steps", steps: PositiveInt = 10) -> "keras.callbacks.Callback":
    """Profiles some steps with TensorFlow's profiler into profile/ in the run folder.

    TensorBoard's profile plugin opens the folder. The log shows the median time of a profiled step, and the fraction of the time spent
    between steps: waiting for data, logging and in other callbacks.

    Args:
        start: when profiling begins; earlier in a run that is too short. The first steps are slow because TensorFlow traces graphs.
        steps: how many are profiled.
    """
    import keras
    import tensorflow as tf

    wanted = context.length.unbounded_steps(start)
    first = min(wanted, max(context.length.steps - steps, 0))
    last = min(first + steps, context.length.steps) - 1
    folder = context.folder / "profile"
    if first < wanted:
        log.warning(f"profile   the run has {context.length.steps} steps: steps {first + 1} to {last + 1} are profiled")

    class Profile(keras.callbacks.Callback):
        """Starts and stops the profiler."""

        def __init__(self) -> None:
            super().__init__()
            self.running = False
            self.inside: list[float] = []

        def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            step = context.steps_done()
            if step == first:
                tf.profiler.experimental.start(str(folder))
                self.running, self.began = True, time.perf_counter()
            if self.running:
                # The profile's pages find the steps by these marks.
                self.mark = tf.profiler.experimental.Trace("train", step_num=step, _r=1)
                self.mark.__enter__()
            self.entered = time.perf_counter()

        def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            if self.running:
                self.inside.append(time.perf_counter() - self.entered)
                self.mark.__exit__(None, None, None)
            if context.steps_done() > last:
                self.finish()

        def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
            self.finish()

        def finish(self) -> None:
            """Stops the profiler, also where training ended early."""
            if not self.running:
                return
            seconds = time.perf_counter() - self.began
            tf.profiler.experimental.stop()
            self.running = False
            between = 1 - sum(self.inside) / seconds
            log.info(
                f"profile   {len(self.inside)} steps, median {1000 * statistics.median(self.inside):.1f} ms, {between:.0%} of the time"
                f" between steps: {folder} (tensorboard --logdir {folder}, with tensorboard-plugin-profile)"
            )

    return Profile()
