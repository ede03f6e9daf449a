"""No training: the net is evaluated with the weights it has."""

from malaria_exp.config.registry import register
from malaria_exp.training.session import Session
from malaria_exp.training.settings import Monitor, Settings, Stage
from malaria_exp.training.trainer_interface import Parts, Trained, Trainer


@register("trainer", "none")
def none(*, monitor: Monitor = "val_auc") -> Trainer:
    """Trains nothing: evaluates a net with the weights it has, as from init_from or of an ensemble.

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
        self.settings = Settings((Stage(epochs=1),), monitor, precision="float32")

    def train(self, parts: Parts) -> Trained:
        """Returns the net as it was built."""
        return Session(self.settings, parts).untrained()
