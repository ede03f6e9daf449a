"""The operations of tf.image that the notebooks used, each on a batch with draws of its own for each image.

What tf.image's functions compute, by the operations below them; tests hold them to be the same. tf.image's functions check the number of
images, which a group of them does not know beforehand, by operations with a state; and with one of those in it, TensorFlow silently makes
no step of a repeatable pipeline in parallel.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from malaria_exp.components.aug._draws import Draws
from malaria_exp.components.aug._groups import on_colors, on_images, over_pixels, treat_groups
from malaria_exp.components.aug._tf_image_colors import recolor
from malaria_exp.components.aug.dihedral import apply_symmetry
from malaria_exp.data.augmentation_chain import Augment

if TYPE_CHECKING:
    import tensorflow as tf

OperationName = Literal["rot90", "flip_left_right", "flip_up_down", "adjust_saturation", "random_brightness", "random_contrast"]


@dataclass(frozen=True)
class Strengths:
    """How much the operations do.

    Attributes:
        saturation: factor of the saturation.
        brightness: most that is added or taken away.
        contrast: distances from each color's mean are multiplied by 1 - this to 1 + this.
    """

    saturation: float
    brightness: float
    contrast: float


def in_a_row(operations: Sequence[OperationName], p: float, strengths: Strengths) -> Augment:
    """Returns an augmentation that does the operations one after the other, each with probability `p` for each image."""

    def augment(images: "tf.Tensor", labels: "tf.Tensor", seed: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        import tensorflow as tf

        draws = Draws(seed, tf.shape(images)[0])
        # What turns and flips add up to; pixels are moved once, when another operation or nothing follows.
        still_to_move = None
        for moves, names in groupby(operations, MOVING.__contains__):
            if moves:
                for name in names:
                    number = tf.gather(QUARTER_TURNS, draws.whole(1, 4)) if name == "rot90" else MOVING[name]
                    number = tf.where(draws.happens(p), number, 0)
                    still_to_move = number if still_to_move is None else tf.gather_nd(COMPOSED, tf.stack([still_to_move, number], axis=1))
                continue
            images, still_to_move = _move(images, still_to_move), None
            row = list(names)
            chosen = [draws.happens(p) for _ in row]
            images = recolor(images, row, chosen, [_number(name, draws, strengths) for name in row])
        return _move(images, still_to_move), labels

    return augment


def _compose(first: int, then: int) -> int:
    """Returns the number, see `apply_symmetry`, of one symmetry of the square after another."""
    vertical, horizontal = first & 1, first >> 1 & 1
    if then & 4:
        vertical, horizontal = horizontal, vertical
    return (vertical | horizontal << 1 | first & 4) ^ then


# By the number of the first and of the second.
COMPOSED = [[_compose(first, then) for then in range(8)] for first in range(8)]
# Against the clock, as tf.image.rot90 turns.
QUARTER_TURNS = [0, 5, 3, 6]
MOVING = {"rot90": 0, "flip_left_right": 2, "flip_up_down": 1}


def quarter_turned(images: "tf.Tensor", turns: "tf.Tensor") -> "tf.Tensor":
    """Turns each image by its number of quarters of a circle, int32 (B,), 0 to 3."""
    import tensorflow as tf

    return _move(images, tf.gather(QUARTER_TURNS, turns))


def flip_some(images: "tf.Tensor", chosen: "tf.Tensor", *, horizontally: bool, vertically: bool) -> "tf.Tensor":
    """Flips the chosen images, bool (B,)."""
    import tensorflow as tf

    return _move(images, tf.where(chosen, MOVING["flip_left_right"] * horizontally + MOVING["flip_up_down"] * vertically, 0))


def _move(images: "tf.Tensor", symmetries: "tf.Tensor | None") -> "tf.Tensor":
    """Turns and flips each image by the symmetry of its number; 0 and None leave it as it is, bit for bit."""
    if symmetries is None:
        return images
    return treat_groups(images, symmetries, [None, *(partial(_moved, number) for number in range(1, 8))])


def _moved(number: int, group: "tf.Tensor", at: "tf.Tensor") -> "tf.Tensor":  # noqa: ARG001 - all alike
    return apply_symmetry(group, number)


def _number(name: OperationName, draws: Draws, strengths: Strengths) -> "tf.Tensor":
    """Returns what is drawn for one operation on colors, float32 (B,)."""
    import tensorflow as tf

    if name == "adjust_saturation":
        return tf.fill(draws.count[None], strengths.saturation)
    if name == "random_brightness":
        return draws.uniform(-strengths.brightness, strengths.brightness)
    return draws.uniform(1 - strengths.contrast, 1 + strengths.contrast)


def stretch(images: "tf.Tensor", factors: "tf.Tensor") -> "tf.Tensor":
    """Does what tf.image.adjust_contrast does, which takes one factor for all images, with a factor for each, (n,)."""
    import tensorflow as tf

    mean = over_pixels(tf.reduce_mean, images)
    return images * on_images(factors) + on_colors(mean * (1 - factors)[:, None], images)
