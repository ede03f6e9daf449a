"""The eight symmetries of the square: a cell has no up, so all of them are equally probable under the microscope."""

from typing import TYPE_CHECKING

from malaria_exp.components.aug._geometry import apply_symmetries
from malaria_exp.config.registry import register
from malaria_exp.config.validation import Probability
from malaria_exp.data.augmentation_chain import Augmentation

if TYPE_CHECKING:
    import tensorflow as tf


@register("aug", "dihedral")
def dihedral(*, p: Probability = 1.0) -> Augmentation:
    """Turns and mirrors each image by one of the eight symmetries of the square.

    Args:
        p: probability that an image is treated; a treated one gets any of the eight, the identity included, equally often.
    """

    def augment(images: "tf.Tensor", labels: "tf.Tensor", seed: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        import tensorflow as tf

        draws = tf.random.stateless_uniform((2, tf.shape(images)[0]), seed)
        which = tf.where(draws[0] < p, tf.cast(draws[1] * 8, tf.int32), 0)
        return apply_symmetries(images, which), labels

    return augment
