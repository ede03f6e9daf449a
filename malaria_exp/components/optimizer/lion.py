"""Lion: the sign of the momentum (Chen et al. 2023, https://arxiv.org/abs/2302.06675)."""

from typing import TYPE_CHECKING, Annotated

from malaria_exp.config.registry import register
from malaria_exp.config.validation import NonNegative, Positive, Range
from malaria_exp.training.learning_rate_multiplier import Multiplier
from malaria_exp.training.scheduled_rate import scheduled, spare_norms_and_biases

if TYPE_CHECKING:
    import keras


@register("optimizer", "lion")
def lion(
    multiplier: Multiplier,
    /,
    *,
    learning_rate: Positive = 0.001,
    weight_decay: NonNegative = 0.2,
    beta_1: Annotated[float, Range(above=0, below=1)] = 0.9,
    beta_2: Annotated[float, Range(low=0, below=1)] = 0.99,
    clip_norm: Positive | None = 1.0,
) -> "keras.optimizers.Optimizer":
    """Every weight moves by the learning rate, in the direction of the momentum's sign; biases and normalizations do not decay.

    Lion needs a learning rate 3 to 10 times lower than AdamW's, and a weight decay as much higher (section 5 of the paper).

    Args:
        learning_rate: peak of the schedule.
        weight_decay: each step takes learning rate x weight_decay x weight off the weight.
        beta_1: weight of the running mean in the direction; the gradient's is 1 - beta_1.
        beta_2: decay of the gradients' running mean.
        clip_norm: all gradients together are scaled down to this norm; null for no clipping. The running mean
            decays slowly, so that without clipping a few large gradients at the beginning decide the direction for long.
    """
    import keras

    rate = scheduled(learning_rate, multiplier)
    return spare_norms_and_biases(
        keras.optimizers.Lion(rate, beta_1=beta_1, beta_2=beta_2, weight_decay=weight_decay, global_clipnorm=clip_norm)
    )
