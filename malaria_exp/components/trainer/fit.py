"""Training with Keras' own fit."""

from typing import TYPE_CHECKING, Any

from malaria_exp.config.registry import register
from malaria_exp.config.shared_parameters import with_parameters
from malaria_exp.config.validation import PositiveInt
from malaria_exp.training.session import Session
from malaria_exp.training.settings import Settings, Stage, TrainingParameters
from malaria_exp.training.strategy import refuse_workers
from malaria_exp.training.trainer_interface import Trained, Trainer, TrainerInputs
from malaria_exp.utils.rows import Row

if TYPE_CHECKING:
    import keras


@register("trainer", "fit")
@with_parameters(TrainingParameters)
def fit(shared: TrainingParameters, /, *, epochs: PositiveInt = 10) -> Trainer:
    """Trains with Keras fit; the weights of the best epoch are kept.

    Args:
        epochs: passes over the training cells.
    """
    return FitTrainer(Settings((Stage(epochs),), **vars(shared)))


class FitTrainer:
    """Runs Keras fit over the run's batches.

    Args:
        settings: see `fit`.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def train(self, inputs: TrainerInputs) -> Trained:
        """Trains stage by stage and returns the model with the weights of its best epoch."""
        session = Session(self.settings, inputs)
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
    """Returns the callback that passes fit's events to the session."""
    import keras

    def floats(logs: dict[str, Any] | None) -> Row:
        return {key: float(value) for key, value in (logs or {}).items()}

    class Forwarder(keras.callbacks.Callback):
        """Passes every event on."""

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
