"""Each training cell several times an epoch, each copy augmented in another way: the notebooks concatenated five data sets."""

from malaria_exp.components.aug._tf_image import OperationName, in_a_row
from malaria_exp.config.registry import register
from malaria_exp.config.validation import NonNegative, Probability
from malaria_exp.data.augmentation_chain import Augmentation, Copies
from malaria_exp.utils.errors import ConfigError

FIVE: list[list[OperationName]] = [
    ["rot90"],
    ["flip_left_right", "flip_up_down"],
    ["adjust_saturation"],
    ["random_brightness"],
    ["random_contrast"],
]


@register("aug", "repeat5")
def repeat5(
    *,
    copies: list[list[OperationName]] = FIVE,
    saturation: NonNegative = 0.3,
    brightness: Probability = 0.2,
    contrast: Probability = 0.2,
    p: Probability = 1.0,
) -> Augmentation:
    """Makes an epoch hold every cell five times, each copy treated by other operations of tf.image.

    An epoch is five times as long, so for a fair comparison train for a fifth of the epochs.

    Args:
        copies: a list of operations for each copy, [] for a copy without changes.
        saturation: factor of adjust_saturation.
        brightness: random_brightness adds or takes away up to this.
        contrast: random_contrast multiplies distances from each color's mean by 1 - this to 1 + this.
        p: probability of each operation for each image.
    """
    if not copies:
        raise ConfigError(
            "aug.repeat5.copies: expected a list of operations for each copy, received []. Such as: [[rot90], [flip_up_down]]"
        )
    return Copies(tuple(in_a_row(operations, p, saturation, brightness, contrast) for operations in copies))
