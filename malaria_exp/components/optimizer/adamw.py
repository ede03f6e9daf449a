"""AdamW: Adam with decoupled weight decay (Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101)."""

from typing import TYPE_CHECKING, Annotated

from malaria_exp.config.registry import register
from malaria_exp.config.validation import NonNegative, Positive, Range
from malaria_exp.training.learning_rate_multiplier import Multiplier
from malaria_exp.training.scheduled_rate import scheduled, spare_norms_and_biases

if TYPE_CHECKING:
    import keras


@register("optimizer", "adamw")
def adamw(
    multiplier: Multiplier,
    /,
    *,
    learning_rate: Positive = 0.006,
    weight_decay: NonNegative = 0.02,
    beta_1: Annotated[float, Range(low=0, below=1)] = 0.9,
    beta_2: Annotated[float, Range(low=0, below=1)] = 0.999,
    clip_norm: Positive | None = None,
) -> "keras.optimizers.Optimizer":
    """Adam with decoupled weight decay; biases and normalizations do not decay.

    Args:
        learning_rate: peak of the schedule.
        weight_decay: each step takes learning rate x weight_decay x weight off the weight.
        beta_1: decay of the gradients' running mean.
        beta_2: decay of the squared gradients' running mean.
        clip_norm: all gradients together are scaled down to this norm; null for no clipping.
    """
    import keras

    rate = scheduled(learning_rate, multiplier)
    return spare_norms_and_biases(
        keras.optimizers.AdamW(rate, weight_decay=weight_decay, beta_1=beta_1, beta_2=beta_2, global_clipnorm=clip_norm)
    )
