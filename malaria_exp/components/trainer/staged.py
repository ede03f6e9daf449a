"""Training in stages: some layers first, others later, each stage with a learning rate of its own."""

from dataclasses import dataclass
from typing import Literal

from malaria_exp.components.trainer.fit import FitTrainer
from malaria_exp.config.registry import register
from malaria_exp.config.shared_parameters import with_parameters
from malaria_exp.config.validation import Positive, PositiveInt
from malaria_exp.training.settings import Settings, Stage, TrainingParameters
from malaria_exp.training.trainer_interface import Trainer
from malaria_exp.utils.errors import ConfigError


@dataclass(frozen=True)
class StageConfig:
    """One stage.

    Attributes:
        epochs: passes over the training cells.
        train: names of the layers that are trained, or patterns with * and ?; '*' is all.
        learning_rate: multiplies optimizer.learning_rate.
    """

    epochs: PositiveInt
    train: list[str]
    learning_rate: Positive = 1.0


HEAD_THEN_ALL = [
    {"epochs": 3, "train": ["logit"], "learning_rate": 1.0},
    {"epochs": 7, "train": ["*"], "learning_rate": 0.1},
]


@register("trainer", "staged")
@with_parameters(TrainingParameters)
def staged(
    shared: TrainingParameters,
    /,
    *,
    stages: list[StageConfig] = HEAD_THEN_ALL,  # type: ignore[assignment]
    norms: Literal["frozen", "trained"] = "frozen",
) -> Trainer:
    """Trains with Keras fit in stages, such as the head first and then all layers: for models whose weights come from elsewhere.

    Each stage begins with a fresh optimizer and runs through the whole schedule; lengths in percent are of the stage. The best
    epoch of all stages is kept (or the last); early stopping ends a stage.

    Args:
        stages: each with epochs, train (names of layers, or patterns: [logit], ['block_16*', logit], ['*']) and learning_rate (multiplies optimizer.learning_rate).
        norms: frozen keeps the statistics, scales and offsets of batch normalizations as they came, in every stage; trained lets them follow `train`.
    """
    if not stages:
        raise ConfigError("trainer.stages: expected at least one stage, received []. Such as: trainer.stages=[{epochs: 5, train: ['*']}]")
    configs = [stage if isinstance(stage, StageConfig) else StageConfig(**stage) for stage in stages]
    made = tuple(Stage(one.epochs, tuple(one.train), one.learning_rate, freeze_norms=norms == "frozen") for one in configs)
    return FitTrainer(Settings(made, **vars(shared)))
