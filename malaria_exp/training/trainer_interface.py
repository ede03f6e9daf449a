"""What a trainer receives and returns."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from malaria_exp.config.durations import RunLength
from malaria_exp.data.seeds import Batches
from malaria_exp.data.subsets import Cells
from malaria_exp.training.callback_context import CallbackContext
from malaria_exp.training.checkpoint import Checkpoint
from malaria_exp.training.learning_rate_multiplier import Multiplier
from malaria_exp.training.settings import Settings
from malaria_exp.utils.rows import Row

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from malaria_exp.tracking.tracker import Tracker
    from malaria_exp.training.predict import Scorer


@dataclass(frozen=True, eq=False)
class TrainerInputs:
    """What the runner assembles for a training. It contains no test subset.

    Attributes:
        build_model: builds the untrained model in the current precision.
        loss: on logits.
        build_multiplier: takes the length of a stage and returns its schedule.
        build_optimizer: takes the multiplier of its learning rate.
        batches: of the training cells.
        val: the validation cells.
        tracker: tells the loggers.
        folder: the run's folder.
        seed: the run's seed.
        eval_batch_size: cells scored in one call.
        identity: name and parameters of model, loss and optimizer, as text.
        cache: the cache folder.
        build_metrics: builds the metrics of the training batches.
        build_callbacks: builds the callbacks of a training.
        strategy: opened early, as several workers require; None to let the trainer open it.
        checkpoint: what a run that was cut off goes on from; None to begin.
    """

    build_model: Callable[[], "keras.Model"]
    loss: "keras.losses.Loss"
    build_multiplier: Callable[[RunLength], Multiplier]
    build_optimizer: Callable[[Multiplier], "keras.optimizers.Optimizer"]
    batches: Batches
    val: Cells
    tracker: "Tracker"
    folder: Path
    seed: int
    eval_batch_size: int
    identity: str
    cache: Path
    build_metrics: Callable[[], list["keras.metrics.Metric"]] = list
    build_callbacks: Callable[[CallbackContext], list["keras.callbacks.Callback"]] = lambda _: []
    strategy: "tf.distribute.Strategy | None" = None
    checkpoint: Checkpoint | None = None


@dataclass(eq=False)
class Trained:
    """A trained model with its history.

    Attributes:
        model: with the weights that were kept, not compiled.
        history: a row an epoch; empty if nothing was trained.
        precision: "float32", "bfloat16" or "float16".
        monitor: the metric that chose the best epoch.
        best_epoch: number of the epoch whose weights were kept, from 1; 0 if nothing was trained.
        best: the monitor's value there.
        seconds: of training and validation, without building the model.
        notes: what a reader of the report should know.
        scorer: of the model, already traced where it validated the training, or of the model with its views; None if there is none.
    """

    model: "keras.Model"
    history: list[Row]
    precision: str
    monitor: str
    best_epoch: int
    best: float
    seconds: float
    notes: list[str] = field(default_factory=list)
    scorer: "Scorer | None" = None

    def summary(self) -> dict[str, Any]:
        """Returns the facts of the training as plain values."""
        return {
            "parameters": self.model.count_params(),
            "precision": self.precision,
            "monitor": self.monitor,
            "best_epoch": self.best_epoch,
            "epochs": len(self.history),
            "train_seconds": round(self.seconds, 2),
        }


class Trainer(Protocol):
    """Fits a model to the training subset.

    Attributes:
        settings: its settings, which also say how long the run is.
    """

    settings: Settings

    def train(self, inputs: TrainerInputs) -> Trained:
        """Trains and returns the model of the epoch that is kept."""
        ...
