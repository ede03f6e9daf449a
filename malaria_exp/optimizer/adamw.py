"""AdamW: Adam with decoupled weight decay (Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101)."""

from typing import TYPE_CHECKING

from malaria_exp.optimizer._rate import NOT_DECAYED, scheduled
from malaria_exp.registry import register
from malaria_exp.schedule._factor import Factor
from malaria_exp.schema import NonNegative, Positive, Probability

if TYPE_CHECKING:
    import keras


@register("optimizer", "adamw")
def adamw(
    factor: Factor,
    /,
    *,
    learning_rate: Positive = 0.004,
    weight_decay: NonNegative = 0.05,
    beta_1: Probability = 0.9,
    beta_2: Probability = 0.999,
    clipnorm: Positive | None = None,
) -> "keras.optimizers.Optimizer":
    """Adam with decoupled weight decay; biases and normalisations do not decay.

    Args:
        learning_rate: peak of the schedule.
        weight_decay: each step takes learning rate x weight_decay x weight off the weight.
        beta_1: decay of the gradients' running mean.
        beta_2: decay of the squared gradients' running mean.
        clipnorm: each weight's gradient is scaled down to this norm; null for no clipping.
    """
    import keras

    optimizer = keras.optimizers.AdamW(
        scheduled(learning_rate, factor), weight_decay=weight_decay, beta_1=beta_1, beta_2=beta_2, clipnorm=clipnorm
    )
    optimizer.exclude_from_weight_decay(var_names=NOT_DECAYED)
    return optimizer
