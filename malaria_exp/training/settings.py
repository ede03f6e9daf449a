"""What all trainers can be told; the builders say what each key means."""

from dataclasses import dataclass
from typing import Annotated, Literal

from malaria_exp.config.validation import Pattern
from malaria_exp.training.precision import Precision
from malaria_exp.utils.errors import ConfigError

Monitor = Annotated[str, Pattern(r"val_.+", "val_loss, or val_ and a metric's name such as 'val_auc'")]
StrategyName = Literal["none", "mirrored", "multi_worker", "auto"]


@dataclass(frozen=True)
class Stage:
    """A stretch of the training with its own trainable layers, optimizer and schedule.

    Attributes:
        epochs: passes over the training cells.
        train: patterns on the names of the layers that are trained; None for all as the net has them.
        learning_rate: factor of optimizer.learning_rate.
        freeze_norms: whether batch normalizations keep their statistics, scale and offset.
    """

    epochs: int
    train: tuple[str, ...] | None = None
    learning_rate: float = 1.0
    freeze_norms: bool = False


@dataclass(frozen=True)
class Settings:
    """How a net is trained, whoever walks through the batches. See `fit` for each.

    Attributes:
        stages: one after another.
        monitor: name of the validation metric that chooses the best epoch.
        checkpoint: whether the best weights so far are written.
        precision: of the computation.
        accumulate: batches whose gradients make one update.
        ema: share of the running average of the weights that a step keeps; None for no average.
        eager: whether steps run as plain Python.
        jit_compile: whether XLA compiles them.
        strategy: how the work is divided among devices.
    """

    stages: tuple[Stage, ...]
    monitor: str
    checkpoint: bool = True
    precision: Precision = "auto"
    accumulate: int = 1
    ema: float | None = None
    eager: bool = False
    jit_compile: bool = False
    strategy: StrategyName = "none"

    @property
    def epochs(self) -> int:
        """Passes over the training cells in all stages."""
        return sum(stage.epochs for stage in self.stages)


def check_updates(settings: Settings, steps_per_epoch: int) -> None:
    """Raises a ConfigError if a stage ends before as many batches have come as make an update."""
    for stage in settings.stages:
        steps = stage.epochs * steps_per_epoch
        if settings.accumulate > steps:
            what = "the run" if len(settings.stages) == 1 else "a stage"
            raise ConfigError(
                f"trainer.accumulate: {settings.accumulate:,} batches make one update, and {what} has {steps:,} ({stage.epochs:,} epochs of"
                f" {steps_per_epoch:,}), so no weight would move. Give at most {steps:,}, a smaller batch_size, or more epochs."
            )
