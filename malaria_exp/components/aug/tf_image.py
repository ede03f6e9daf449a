"""The notebooks' augmentation by tf.image: rotations, flips, saturation, brightness, contrast."""

from malaria_exp.components.aug._tf_image import OperationName, in_a_row
from malaria_exp.config.registry import register
from malaria_exp.config.validation import NonNegative, Probability
from malaria_exp.data.augmentation_chain import Augmentation

ALL: list[OperationName] = ["rot90", "flip_left_right", "flip_up_down", "adjust_saturation", "random_brightness", "random_contrast"]


@register("aug", "tf_image")
def tf_image(
    *,
    operations: list[OperationName] = ALL,
    saturation: NonNegative = 0.3,
    brightness: Probability = 0.2,
    contrast: Probability = 0.2,
    p: Probability = 0.5,
) -> Augmentation:
    """Treats images by operations of tf.image, each drawn independently for each image.

    The black outside of the cell stays black, which tf.image's own brightness and contrast would turn gray.

    Args:
        operations: in the order in which they are done.
        saturation: factor of adjust_saturation, the same for all images that get it, as in the notebooks.
        brightness: random_brightness adds or takes away up to this.
        contrast: random_contrast multiplies distances from each color's mean by 1 - this to 1 + this.
        p: probability of each operation for each image.
    """
    return in_a_row(operations, p, saturation, brightness, contrast)
