"""The operations of tf.image that the notebooks used, each on a batch with draws of its own for each image.

What tf.image's functions compute, by the operations below them, see `quarter_turns`; tests hold them to be the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from malaria_exp.aug._draws import Draws
from malaria_exp.aug._groups import keep_black, on_images, quarter_turns, treat_groups
from malaria_exp.augmenting import Augment

if TYPE_CHECKING:
    import tensorflow as tf

OperationName = Literal["rot90", "flip_left_right", "flip_up_down", "adjust_saturation", "random_brightness", "random_contrast"]


@dataclass(frozen=True)
class Strengths:
    """How much the operations do.

    Attributes:
        saturation: factor of the saturation.
        brightness: most that is added or taken away.
        contrast: distances from each colour's mean are multiplied by 1 - this to 1 + this.
    """

    saturation: float
    brightness: float
    contrast: float


def in_a_row(operations: Sequence[OperationName], p: float, strengths: Strengths) -> Augment:
    """Returns an augmentation that does the operations one after the other, each with probability `p` for each image."""

    def augment(images: "tf.Tensor", labels: "tf.Tensor", seed: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        import tensorflow as tf

        draws = Draws(seed, tf.shape(images)[0])
        for name in operations:
            images = operate(images, name, draws.happens(p), draws, strengths)
        return images, labels

    return augment


def operate(images: "tf.Tensor", name: OperationName, chosen: "tf.Tensor", draws: Draws, strengths: Strengths) -> "tf.Tensor":
    """Treats the chosen images, bool (B,), by one operation; the others stay as they are, bit for bit."""
    import tensorflow as tf

    once = tf.cast(chosen, tf.int32)
    if name == "rot90":
        turns = tf.where(chosen, draws.whole(1, 4), 0)
        return treat_groups(images, turns, [None, *(quarter_turns(number) for number in (1, 2, 3))])
    if name in ("flip_left_right", "flip_up_down"):
        axis = 2 if name == "flip_left_right" else 1
        return treat_groups(images, once, [None, lambda group, _: tf.reverse(group, (axis,))])
    if name == "adjust_saturation":
        return treat_groups(images, once, [None, lambda group, _: tf.raw_ops.AdjustSaturation(images=group, scale=strengths.saturation)])
    if name == "random_brightness":
        added = draws.uniform(-strengths.brightness, strengths.brightness)
        return treat_groups(images, once, [None, lambda group, at: keep_black(group, group + on_images(tf.gather(added, at)))])
    factors = draws.uniform(1 - strengths.contrast, 1 + strengths.contrast)
    return treat_groups(images, once, [None, lambda group, at: _contrast(group, tf.gather(factors, at))])


def _contrast(images: "tf.Tensor", factors: "tf.Tensor") -> "tf.Tensor":
    """Does what tf.image.adjust_contrast does, which takes one factor for all images."""
    import tensorflow as tf

    mean = tf.reduce_mean(images, axis=(1, 2), keepdims=True)
    return keep_black(images, mean + (images - mean) * on_images(factors))
