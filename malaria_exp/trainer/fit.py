"""Training with Keras' own fit."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from malaria_exp.durations import RunLength
from malaria_exp.errors import UserError
from malaria_exp.evaluation.metrics import direction
from malaria_exp.files import write_atomically
from malaria_exp.logger._base import Row
from malaria_exp.registry import register
from malaria_exp.schema import Pattern, PositiveInt
from malaria_exp.trainer._base import CHECKPOINT_FILE, Parts, Trained, Trainer
from malaria_exp.trainer._precision import Precision, choose_precision, set_precision
from malaria_exp.trainer._validation import validate

if TYPE_CHECKING:
    import keras


Monitor = Annotated[str, Pattern(r"val_.+", "val_loss, or val_ and a metric's name such as 'val_auc'")]


@register("trainer", "fit")
def fit(
    *,
    epochs: PositiveInt = 10,
    monitor: Monitor = "val_auc",
    patience: PositiveInt | None = None,
    checkpoint: bool = True,
    precision: Precision = "auto",
    jit_compile: bool = False,
) -> Trainer:
    """Trains with Keras fit; the weights of the best epoch are kept.

    Args:
        epochs: passes over the training cells.
        monitor: validation metric that chooses the best epoch, val_loss or val_ and a metric's name; its direction is known.
        patience: stop after so many epochs without a better monitor; null to run all epochs.
        checkpoint: write the best weights so far to checkpoint.weights.h5 after each epoch that improves.
        precision: float32, bfloat16 or float16 (mixed: weights stay float32); auto measures once which is fastest here.
        jit_compile: compile with XLA; for these nets slower than plain graphs on a CPU.

    Raises:
        ConfigError: the monitor is no known validation metric.
    """
    return FitTrainer(epochs, monitor, direction(monitor), patience, checkpoint, precision, jit_compile)


class FitTrainer:
    """Runs Keras fit over the run's batches; see `fit` for the parameters.

    Args:
        epochs: passes over the training cells.
        monitor: name of the validation metric.
        mode: "max" or "min", the monitor's better direction.
        patience: epochs without improvement, or None.
        checkpoint: whether the best weights so far are written.
        precision: see `fit`.
        jit_compile: see `fit`.
    """

    def __init__(
        self, epochs: int, monitor: str, mode: str, patience: int | None, checkpoint: bool, precision: Precision, jit_compile: bool
    ) -> None:
        self.epochs, self.monitor, self.mode, self.patience = epochs, monitor, mode, patience
        self.checkpoint, self.precision, self.jit_compile = checkpoint, precision, jit_compile

    def train(self, parts: Parts) -> Trained:
        """Trains and returns the model with the weights of its best epoch."""
        import keras

        length = RunLength(self.epochs, parts.batches.steps_per_epoch, parts.batches.batch_size)

        def compiled(model: "keras.Model") -> "keras.Model":
            # Fitted through a shell that shares all layers: the model itself stays uncompiled, so that what is saved holds
            # the network and nothing of this run's optimizer, loss and schedule.
            inputs = keras.Input(model.input_shape[1:])
            shell = keras.Model(inputs, model(inputs))
            shell.compile(
                parts.build_optimizer(length),
                parts.loss,
                metrics=[keras.metrics.MeanMetricWrapper(dominant_accuracy, name="accuracy")],
                jit_compile=self.jit_compile,
            )
            return shell

        precision: str = self.precision
        if precision == "auto":

            def first_batch() -> tuple[np.ndarray, ...]:
                return tuple(part.numpy() for part in next(iter(parts.batches.dataset())))

            precision = choose_precision(lambda: compiled(parts.build_model()), first_batch, identity=parts.identity, root=parts.cache)
        # Also after measuring, which drew from Keras' generators: a run never depends on whether it had to measure.
        keras.utils.clear_session()
        keras.utils.set_random_seed(parts.seed)
        set_precision(precision)
        model = parts.build_model()
        shell = compiled(model)
        recorder = _recorder(self, parts, model, shell, length)
        parts.logger.start(length)
        start = time.perf_counter()
        shell.fit(
            parts.batches.dataset(),
            epochs=self.epochs,
            steps_per_epoch=length.steps_per_epoch,
            callbacks=[recorder],
            verbose=0,
            shuffle=False,
        )
        model.set_weights(recorder.best_weights)
        notes = []
        if recorder.best_epoch == self.epochs > 1:
            notes.append(f"The best epoch was the last: {self.monitor} may still have been rising.")
        return Trained(model, recorder.history, precision, self.monitor, recorder.best_epoch, time.perf_counter() - start, notes)


def dominant_accuracy(labels: Any, logits: Any) -> Any:
    """Returns (B,) whether the logit's side is the label's larger side: smoothed or mixed labels count as what they mostly are."""
    from keras import ops

    return ops.mean(ops.cast(ops.equal(labels > 0.5, logits > 0), "float32"), axis=-1)


def _recorder(trainer: FitTrainer, parts: Parts, model: "keras.Model", shell: "keras.Model", length: RunLength) -> Any:
    """Returns the callback that validates, records, keeps the best weights and stops."""
    import keras

    class Recorder(keras.callbacks.Callback):
        """One callback for what must happen in one order at each epoch's end."""

        def __init__(self) -> None:
            super().__init__()
            self.history: list[Row] = []
            self.best, self.best_epoch, self.best_weights = float("nan"), 0, model.get_weights()
            self.steps = 0
            self.validate = validate(model, parts)

        def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            self.started = time.perf_counter()

        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            self.steps += 1
            parts.logger.step(self.steps, logs or {})

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            seconds = time.perf_counter() - self.started
            row = {"epoch": epoch + 1, **{key: float(value) for key, value in (logs or {}).items()}}
            if not np.isfinite(row["loss"]):
                raise UserError(
                    f"Training diverged: the loss is {row['loss']} in epoch {epoch + 1}. Lower optimizer.learning_rate, lengthen schedule.warmup"
                    " or set trainer.precision=float32."
                )
            row |= self.validate()
            row["learning_rate"] = float(shell.optimizer.learning_rate)
            row["cells_per_second"] = length.steps_per_epoch * length.batch_size / seconds
            row["seconds"] = time.perf_counter() - self.started
            self.history.append(row)
            parts.logger.epoch(row)
            value = row[trainer.monitor]
            # Written so that the first epoch is taken, and a later one only if it is truly better (never if it is NaN).
            if not self.best_epoch or (value > self.best if trainer.mode == "max" else value < self.best) or np.isnan(self.best):
                self.best, self.best_epoch, self.best_weights = value, epoch + 1, model.get_weights()
                if trainer.checkpoint:
                    write_atomically(parts.folder / CHECKPOINT_FILE, model.save_weights)
            if trainer.patience and epoch + 1 - self.best_epoch >= trainer.patience:
                shell.stop_training = True

    return Recorder()
