"""Training in stages: some layers first, others later, each stage with a learning rate of its own."""

from dataclasses import dataclass
from typing import Literal

from malaria_exp.components.trainer.fit import FitTrainer
from malaria_exp.config.registry import register
from malaria_exp.config.validation import Fraction, Positive, PositiveInt
from malaria_exp.training.precision import Precision
from malaria_exp.training.settings import Monitor, Settings, Stage, StrategyName
from malaria_exp.training.trainer_interface import Trainer
from malaria_exp.utils.errors import ConfigError


@dataclass(frozen=True)
class StageConfig:
    """One stage.

    Attributes:
        epochs: passes over the training cells.
        train: names of the layers that are trained, or patterns with * and ?; '*' is all.
        learning_rate: factor of optimizer.learning_rate.
    """

    epochs: PositiveInt
    train: list[str]
    learning_rate: Positive = 1.0


HEAD_THEN_ALL = [
    {"epochs": 3, "train": ["logit"], "learning_rate": 1.0},
    {"epochs": 7, "train": ["*"], "learning_rate": 0.1},
]


@register("trainer", "staged")
def staged(
    *,
    stages: list[StageConfig] = HEAD_THEN_ALL,  # type: ignore[assignment]
    norms: Literal["frozen", "trained"] = "frozen",
    monitor: Monitor = "val_auc",
    checkpoint: bool = True,
    precision: Precision = "auto",
    accumulate: PositiveInt = 1,
    ema: Fraction | None = None,
    eager: bool = False,
    jit_compile: bool = False,
    strategy: StrategyName = "none",
) -> Trainer:
    """Trains with Keras fit in stages, the head first, say, then more: for nets whose weights come from elsewhere.

    Each stage begins with a fresh optimizer and runs through the whole schedule; lengths in percent are of the stage. The best
    epoch of all stages is kept; early stopping ends a stage.

    Args:
        stages: each with epochs, train (names of layers, or patterns: [logit], ['block_16*', logit], ['*']) and learning_rate (factor of optimizer.learning_rate).
        norms: frozen keeps the statistics, scales and offsets of batch normalizations as they came, in every stage; trained lets them follow `train`.
        monitor: validation metric that chooses the best epoch, val_loss or val_ and a metric's name; its direction is known.
        checkpoint: write the best weights so far to checkpoint.weights.h5 after each epoch that improves.
        precision: float32, bfloat16 or float16 (mixed: weights stay float32); auto measures once which is fastest here.
        accumulate: batches whose averaged gradients make one update, as if batch_size were so many times larger.
        ema: keep a running average of the weights, of which a step keeps this share (0.99, say); the average is validated and saved. null for none.
        eager: run every step as plain Python, for a debugger; several times slower.
        jit_compile: compile with XLA; for these nets slower than plain graphs on a CPU, and on a GPU not the same to the last bit each time.
        strategy: how tf.distribute divides each batch: none; mirrored among this machine's GPUs; multi_worker among machines; auto as found.
    """
    if not stages:
        raise ConfigError("trainer.stages: expected at least one stage, received []. Such as: trainer.stages=[{epochs: 5, train: ['*']}]")
    made = [stage if isinstance(stage, StageConfig) else StageConfig(**stage) for stage in stages]
    return FitTrainer(
        Settings(
            tuple(Stage(one.epochs, tuple(one.train), one.learning_rate, norms == "frozen") for one in made),
            monitor,
            checkpoint,
            precision,
            accumulate,
            ema,
            eager,
            jit_compile,
            strategy,
        )
    )
