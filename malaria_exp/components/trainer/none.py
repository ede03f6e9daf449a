"""No training: the model is evaluated with the weights it has."""

from malaria_exp.config.registry import register
from malaria_exp.training.session import Session
from malaria_exp.training.settings import Monitor, Settings, Stage
from malaria_exp.training.trainer_interface import Trained, Trainer, TrainerInputs


@register("trainer", "none")
def none(*, monitor: Monitor = "val_auc") -> Trainer:
    """Trains nothing: evaluates a model with the weights it has, as from init_from or of an ensemble.

    Args:
        monitor: validation metric that is the run's objective, val_loss or val_ and a metric's name.
    """
    return NoTrainer(monitor)


class NoTrainer:
    """Validates once.

    Args:
        monitor: name of a validation metric.
    """

    def __init__(self, monitor: str) -> None:
        self.settings = Settings((Stage(epochs=1),), monitor=monitor, precision="float32")

    def train(self, inputs: TrainerInputs) -> Trained:
        """Returns the model as it was built."""
        return Session(self.settings, inputs).untrained()
