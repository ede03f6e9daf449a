"""RMSprop (Tieleman and Hinton 2012, https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf)."""

from typing import TYPE_CHECKING, Annotated

from malaria_exp.config.registry import register
from malaria_exp.config.validation import NonNegative, Positive, Range
from malaria_exp.training.learning_rate_multiplier import Multiplier
from malaria_exp.training.scheduled_rate import scheduled, spare_norms_and_biases

if TYPE_CHECKING:
    import keras


@register("optimizer", "rmsprop")
def rmsprop(
    multiplier: Multiplier,
    /,
    *,
    learning_rate: Positive = 0.001,
    weight_decay: NonNegative = 0.0,
    rho: Annotated[float, Range(low=0, below=1)] = 0.9,
    momentum: Annotated[float, Range(low=0, below=1)] = 0.0,
    clip_norm: Positive | None = None,
) -> "keras.optimizers.Optimizer":
    """Gradients divided by the root of their running mean square; biases and normalizations do not decay.

    Args:
        learning_rate: peak of the schedule.
        weight_decay: each step takes learning rate x weight_decay x weight off the weight.
        rho: decay of the squared gradients' running mean.
        momentum: fraction of the last step that is added to the next.
        clip_norm: all gradients together are scaled down to this norm; null for no clipping.
    """
    import keras

    rate = scheduled(learning_rate, multiplier)
    return spare_norms_and_biases(
        keras.optimizers.RMSprop(rate, rho=rho, momentum=momentum, weight_decay=weight_decay, global_clipnorm=clip_norm)
    )
