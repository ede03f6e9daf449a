"""Adam (Kingma and Ba 2015, https://arxiv.org/abs/1412.6980)."""

from typing import TYPE_CHECKING, Annotated

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Positive, Range
from malaria_exp.training.learning_rate_multiplier import Multiplier
from malaria_exp.training.scheduled_rate import scheduled

if TYPE_CHECKING:
    import keras


@register("optimizer", "adam")
def adam(
    multiplier: Multiplier,
    /,
    *,
    learning_rate: Positive = 0.001,
    beta_1: Annotated[float, Range(low=0, below=1)] = 0.9,
    beta_2: Annotated[float, Range(low=0, below=1)] = 0.999,
    clip_norm: Positive | None = None,
) -> "keras.optimizers.Optimizer":
    """Adam, the optimizer of the notebooks.

    Args:
        learning_rate: peak of the schedule.
        beta_1: decay of the gradients' running mean.
        beta_2: decay of the squared gradients' running mean.
        clip_norm: all gradients together are scaled down to this norm; null for no clipping.
    """
    import keras

    return keras.optimizers.Adam(scheduled(learning_rate, multiplier), beta_1=beta_1, beta_2=beta_2, global_clipnorm=clip_norm)
