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
def fit(shared: TrainingParameters, /, *, epochs: PositiveInt = 12) -> Trainer:
    """Trains with Keras fit; the weights of the best epoch are kept, or of the last.

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
        """Trains stage by stage and returns the model with the weights that are kept."""
        session = Session(self.settings, inputs)
        refuse_workers(session.strategy)
        if session.nothing_to_train:
            return session.untrained()
        with session.running():
            for number, stage in enumerate(self.settings.stages):
                if number >= session.progress.stage:
                    _fit(session, session.compile(stage, number))
        return session.trained()


def _fit(session: Session, model: "keras.Model") -> None:
    """Trains a stage, or what is left of it.

    All epochs of Keras have as many steps, from the first on. In an epoch that goes on it is led through the steps that are done already,
    and in a shorter one through those that it lacks; nothing is computed in them and nobody is told.
    """
    forwarder = _forwarder(session, session.epoch, session.progress.step)
    model.make_train_function()
    train_step = model.train_function
    model.train_function = lambda batches: forwarder.logs if forwarder.idle else train_step(session.of_epoch(batches))
    model.fit(
        session.batches,
        initial_epoch=session.epoch,
        epochs=session.stage_end,
        steps_per_epoch=session.length.steps_per_epoch,
        callbacks=[forwarder],
        verbose=0,
        shuffle=False,
    )


def _forwarder(session: Session, first_epoch: int, first_step: int) -> Any:
    """Returns the callback that passes fit's events, from a step of an epoch on, on to the session."""
    import keras

    def floats(logs: dict[str, Any] | None) -> Row:
        return {key: float(value) for key, value in (logs or {}).items()}

    class Forwarder(keras.callbacks.Callback):
        """Passes the events on.

        Attributes:
            idle: whether the step under way was done before the run went on, or is beyond the epoch's last.
            logs: of the step before; none in the first.
        """

        idle = False
        logs: dict[str, Any] = {}  # noqa: RUF012

        def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
            session.begin_stage()

        def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
            session.end_stage()

        def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            self.steps = range(first_step if epoch == first_epoch else 0, session.length.steps_in(epoch))
            session.begin_epoch(epoch)

        def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            self.idle = batch not in self.steps
            if not self.idle:
                session.begin_step(batch)

        def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            if not self.idle:
                self.logs = dict(logs or {})
                session.end_step(batch, floats(logs))

        def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            session.end_epoch(epoch, floats(logs))

    return Forwarder()
