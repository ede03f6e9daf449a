"""The eight symmetries of the square: a cell has no up, so all of them are as likely under the microscope."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Probability
from malaria_exp.data.augmentation_chain import Augmentation

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
        draws = tf.random.stateless_uniform((2, count), seed)
        which = tf.where(draws[0] < p, tf.cast(draws[1] * 8, tf.int32), 0)
        # Each image is moved once, among those that share its symmetry: several times faster than choosing between turned
        # and unturned copies of the whole batch, and the same result.
        places = tf.dynamic_partition(tf.range(count), which, 8)
        groups = tf.dynamic_partition(images, which, 8)
        turned = [apply_symmetry(group, number) for number, group in enumerate(groups)]
        return tf.reshape(tf.dynamic_stitch(places, turned), tf.shape(images)), labels

    return augment


def apply_symmetry(images: "tf.Tensor", number: int) -> "tf.Tensor":
    """Applies one of the eight symmetries of the square to all images (B, H, H, C); 0 is the identity."""
    import tensorflow as tf

    if number & 4:
        images = tf.transpose(images, (0, 2, 1, 3))
    axes = [axis for axis, flipped in ((1, number & 1), (2, number & 2)) if flipped]
    return tf.reverse(images, axes) if axes else images
