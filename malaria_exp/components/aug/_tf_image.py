"""The operations of tf.image that the notebooks used, each on a batch with draws of its own for each image.

They compute what tf.image's functions compute, by other code; tests compare both. tf.image's functions check the shape of a group of
images, whose number is not known beforehand, by operations with a state; and with one of those in a pipeline, TensorFlow silently runs no
step of it in parallel.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from malaria_exp.components.aug._colors import RECOLORINGS, recolor
from malaria_exp.components.aug._geometry import COMPOSED, FLIP_LEFT_RIGHT, FLIP_UP_DOWN, QUARTER_TURNS, apply_symmetries
from malaria_exp.components.aug._per_image import Draws
from malaria_exp.data.augmentation_chain import Augment

if TYPE_CHECKING:
    import tensorflow as tf

OperationName = Literal["rot90", "flip_left_right", "flip_up_down", "adjust_saturation", "random_brightness", "random_contrast"]
FLIPS = {"flip_left_right": FLIP_LEFT_RIGHT, "flip_up_down": FLIP_UP_DOWN}


def in_a_row(operations: Sequence[OperationName], p: float, saturation: float, brightness: float, contrast: float) -> Augment:
    """Returns an augmentation that does the operations one after the other.

    Args:
        operations: in this order.
        p: probability of each operation for each image.
        saturation: what adjust_saturation multiplies saturation by.
        brightness: random_brightness adds or takes away at most this.
        contrast: random_contrast multiplies distances from each color's mean by 1 - contrast to 1 + contrast.
    """
    ranges = {"random_brightness": (-brightness, brightness), "random_contrast": (1 - contrast, 1 + contrast)}

    def augment(images: "tf.Tensor", labels: "tf.Tensor", seed: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        import tensorflow as tf

        draws = Draws(seed, tf.shape(images)[0])
        for recolors, group in groupby(operations, RECOLORINGS.__contains__):
            names = list(group)
            if recolors:
                chosen = [draws.happens(p) for _ in names]
                numbers = [draws.uniform(*ranges[name]) if name in ranges else tf.fill((draws.count,), saturation) for name in names]
                images = recolor(images, names, chosen, numbers)
            else:
                images = apply_symmetries(images, _drawn_symmetries(names, draws, p))
        return images, labels

    return augment


def _drawn_symmetries(names: Sequence[OperationName], draws: Draws, p: float) -> "tf.Tensor":
    """Returns the symmetries that the drawn turns and flips add up to, int32 (B,), so that pixels are moved once."""
    import tensorflow as tf

    total = tf.zeros((draws.count,), tf.int32)
    for name in names:
        number = tf.gather(QUARTER_TURNS, draws.whole(1, 4)) if name == "rot90" else FLIPS[name]
        number = tf.where(draws.happens(p), number, 0)
        total = tf.gather_nd(COMPOSED, tf.stack([total, number], axis=1))
    return total
