"""Stochastic gradient descent with momentum (Sutskever et al. 2013, https://proceedings.mlr.press/v28/sutskever13.html)."""

from typing import TYPE_CHECKING, Annotated

from malaria_exp.config.registry import register
from malaria_exp.config.validation import NonNegative, Positive, Range
from malaria_exp.training.learning_rate_multiplier import Multiplier
from malaria_exp.training.scheduled_rate import scheduled, spare_norms_and_biases

if TYPE_CHECKING:
    import keras


@register("optimizer", "sgd")
def sgd(
    multiplier: Multiplier,
    /,
    *,
    learning_rate: Positive = 0.05,
    weight_decay: NonNegative = 0.0005,
    momentum: Annotated[float, Range(low=0, below=1)] = 0.9,
    nesterov: bool = True,
    clip_norm: Positive | None = None,
) -> "keras.optimizers.Optimizer":
    """Gradient descent with Nesterov momentum; biases and normalizations do not decay.

    Args:
        learning_rate: peak of the schedule.
        weight_decay: each step takes learning rate x weight_decay x weight off the weight.
        momentum: fraction of the last step that is added to the next; 0 for plain gradient descent.
        nesterov: take the gradient's step after the momentum's (Nesterov) instead of with it (classical momentum).
        clip_norm: all gradients together are scaled down to this norm; null for no clipping.
    """
    import keras

    rate = scheduled(learning_rate, multiplier)
    return spare_norms_and_biases(
        keras.optimizers.SGD(rate, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay, global_clipnorm=clip_norm)
    )
