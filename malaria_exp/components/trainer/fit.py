"""Training with Keras' own fit."""

from typing import TYPE_CHECKING, Any

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Fraction, PositiveInt
from malaria_exp.training.precision import Precision
from malaria_exp.training.session import Session
from malaria_exp.training.settings import Monitor, Settings, Stage, StrategyName
from malaria_exp.training.strategy import refuse_workers
from malaria_exp.training.trainer_interface import Parts, Trained, Trainer
from malaria_exp.utils.rows import Row

if TYPE_CHECKING:
    import keras


@register("trainer", "fit")
def fit(
    *,
    epochs: PositiveInt = 10,
    monitor: Monitor = "val_auc",
    checkpoint: bool = True,
    precision: Precision = "auto",
    accumulate: PositiveInt = 1,
    ema: Fraction | None = None,
    eager: bool = False,
    jit_compile: bool = False,
    strategy: StrategyName = "none",
) -> Trainer:
    """Trains with Keras fit; the weights of the best epoch are kept.

    Args:
        epochs: passes over the training cells.
        monitor: validation metric that chooses the best epoch, val_loss or val_ and a metric's name; its direction is known.
        checkpoint: write the best weights so far to checkpoint.weights.h5 after each epoch that improves.
        precision: float32, bfloat16 or float16 (mixed: weights stay float32); auto measures once which is fastest here.
        accumulate: batches whose averaged gradients make one update, as if batch_size were so many times larger.
        ema: keep a running average of the weights, of which a step keeps this share (0.99, say); the average is validated and saved. null for none.
        eager: run every step as plain Python, for a debugger; several times slower.
        jit_compile: compile with XLA; for these nets slower than plain graphs on a CPU, and on a GPU not the same to the last bit each time.
        strategy: how tf.distribute divides each batch: none; mirrored among this machine's GPUs; multi_worker among machines; auto as found.
    """
    stages = (Stage(epochs),)
    return FitTrainer(Settings(stages, monitor, checkpoint, precision, accumulate, ema, eager, jit_compile, strategy))


class FitTrainer:
    """Runs Keras fit over the run's batches.

    Args:
        settings: see `fit`.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def train(self, parts: Parts) -> Trained:
        """Trains stage by stage and returns the model with the weights of its best epoch."""
        session = Session(self.settings, parts)
        refuse_workers(session.strategy)
        if session.nothing_to_train:
            return session.untrained()
        session.start()
        first = 0
        for number, stage in enumerate(self.settings.stages):
            session.compile(stage, number).fit(
                session.batches(first),
                initial_epoch=first,
                epochs=first + stage.epochs,
                steps_per_epoch=session.length.steps_per_epoch,
                callbacks=[_forwarder(session)],
                verbose=0,
                shuffle=False,
            )
            first = int(session.history[-1]["epoch"])
        return session.trained()


def _forwarder(session: Session) -> "keras.callbacks.Callback":
    """Returns the callback by which fit tells the session what happens."""
    import keras

    def floats(logs: dict[str, Any] | None) -> Row:
        return {key: float(value) for key, value in (logs or {}).items()}

    class Forwarder(keras.callbacks.Callback):
        """Hands every event on."""

        def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
            session.begin_stage()

        def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
            session.end_stage()

        def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            session.begin_epoch(epoch)

        def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            session.begin_step(batch)

        def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            session.end_step(batch, floats(logs))

        def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            session.end_epoch(epoch, floats(logs))

    return Forwarder()
