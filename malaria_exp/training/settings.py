"""The settings that all trainers understand."""

from dataclasses import dataclass
from typing import Annotated, Literal

from malaria_exp.config.durations import RunLength
from malaria_exp.config.validation import Duration, Fraction, Pattern, PositiveInt
from malaria_exp.training.precision import Precision
from malaria_exp.utils.errors import ConfigError

Monitor = Annotated[str, Pattern(r"val_.+|loss", "val_loss, or val_ and a metric's name such as 'val_auc'; or loss")]
StrategyName = Literal["none", "mirrored", "multi_worker", "auto"]


@dataclass(frozen=True)
class Stage:
    """A part of the training with its own trainable layers, optimizer and schedule.

    Attributes:
        epochs: passes over the training cells.
        train: patterns on the names of the layers that are trained; None for those that the model itself trains.
        learning_rate: multiplies optimizer.learning_rate.
        freeze_norms: whether batch normalizations keep their statistics, scale and offset.
    """

    epochs: int
    train: tuple[str, ...] | None = None
    learning_rate: float = 1.0
    freeze_norms: bool = False


@dataclass(frozen=True, kw_only=True)
class TrainingParameters:
    """The parameters that the trainers have in common.

    Attributes:
        monitor: what chooses the best epoch: val_loss, or val_ and the name of a metric whose better direction is known; loss, to see a model overfit.
        keep: the weights that are kept at the end: best, those of the best epoch by the monitor; or last, those of the last epoch.
        checkpoint: how often everything is written that a run which was cut off goes on from (task=resume): auto is after each epoch, and each
            minute of a long one, as long as it takes at most 1 % of the time; or an interval such as '500 steps'; null for never.
        precision: float32, bfloat16 or float16 (mixed: weights stay float32); auto measures once which is fastest here.
        accumulate: batches whose averaged gradients make one update, as if batch_size were so many times larger.
        ema: keep a running average of the weights, of which a step keeps this fraction (0.99, say); the average is validated, kept and saved. null for none.
        eager: run every step as plain Python, to stop in it with a debugger; several times slower.
        jit_compile: compile with XLA; for these models slower than plain graphs on a CPU, and on a GPU not the same to the last bit each time.
        strategy: how tf.distribute divides each batch: none; mirrored among this machine's GPUs; multi_worker among machines; auto as found.
    """

    monitor: Monitor = "val_auc"
    keep: Literal["best", "last"] = "best"
    checkpoint: Literal["auto"] | Duration | None = "auto"
    precision: Precision = "auto"
    accumulate: PositiveInt = 1
    ema: Fraction | None = None
    eager: bool = False
    jit_compile: bool = False
    strategy: StrategyName = "none"


@dataclass(frozen=True)
class Settings(TrainingParameters):
    """How a model is trained, by whichever trainer.

    Attributes:
        stages: one after another.
    """

    stages: tuple[Stage, ...]

    @property
    def epochs(self) -> int:
        """Passes over the training cells in all stages."""
        return sum(stage.epochs for stage in self.stages)


def check_updates(settings: Settings, length: RunLength) -> None:
    """Raises a ConfigError if a stage has fewer batches than make one update."""
    first = 0
    for stage in settings.stages:
        steps = length.part(first, stage.epochs).steps
        first += stage.epochs
        if settings.accumulate > steps:
            what = "the run" if len(settings.stages) == 1 else "a stage"
            raise ConfigError(
                f"trainer.accumulate: {settings.accumulate:,} batches make one update, and {what} has {steps:,} in {stage.epochs:,}"
                " epochs, so no weight would move. Give at most {steps:,}, a smaller batch_size, or more epochs."
            )
