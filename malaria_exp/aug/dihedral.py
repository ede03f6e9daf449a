"""The eight symmetries of the square: a cell has no up, so all of them are as likely under the microscope."""

from typing import TYPE_CHECKING

from malaria_exp.batches import Augmentation
from malaria_exp.registry import register
from malaria_exp.schema import Probability

if TYPE_CHECKING:
    import tensorflow as tf


@register("aug", "dihedral")
def dihedral(*, p: Probability = 1.0) -> Augmentation:
    """Turns and mirrors each image by one of the eight symmetries of the square.

    Args:
        p: probability that an image is treated; a treated one gets each of the eight, the identity too, equally often.
    """

    def augment(images: "tf.Tensor", labels: "tf.Tensor", seed: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        import tensorflow as tf

        count = tf.shape(images)[0]
        draws = tf.random.stateless_uniform((4, count, 1, 1, 1), seed)
        treated = draws[3] < p
        transposed, upside_down, mirrored = (treated & (draws[number] < 0.5) for number in range(3))
        images = tf.where(transposed, tf.transpose(images, (0, 2, 1, 3)), images)
        images = tf.where(upside_down, tf.reverse(images, (1,)), images)
        return tf.where(mirrored, tf.reverse(images, (2,)), images), labels

    return augment
