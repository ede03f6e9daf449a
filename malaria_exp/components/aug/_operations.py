"""The operations that rand_augment and augmix choose from, each on a batch with a strength an image.

An operation takes images (n, H, W, 3) in [0, 1] and strengths (n,) in [-1, 1]; where an operation has no direction, the size counts.
Strength 0 is the identity, or for operations without a strength (autocontrast, equalize) makes no difference. At strength 1 they are as in
the papers (Cubuk et al. 2019, arXiv 1909.13719; Hendrycks et al. 2019, arXiv 1912.02781). The black outside of the cell stays black.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from malaria_exp.components.aug._groups import Treatment, keep_black, on_colors, on_images, over_pixels, pixel_mean, treat_groups
from malaria_exp.components.aug._parts import compiled, in_parts
from malaria_exp.components.aug._warp import Map, affine
from malaria_exp.components.aug.color import color_map, map_colors, mean_gray

if TYPE_CHECKING:
    import tensorflow as tf

Operation = Callable[["tf.Tensor", "tf.Tensor"], "tf.Tensor"]
GEOMETRY = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
MOST_TURN, MOST_SHEAR, MOST_SHIFT, MOST_COLOR = math.radians(30), 0.3, 0.3, 0.9


def rotate(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":
    """Turns by up to 30 degrees."""
    return affine(images, *_map_of("rotate", strength))


def shear_x(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":
    """Slants by up to 0.3."""
    return affine(images, *_map_of("shear_x", strength))


def shear_y(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":
    """Slants by up to 0.3."""
    return affine(images, *_map_of("shear_y", strength))


def translate_x(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":
    """Moves by up to 0.3 of the width."""
    return affine(images, *_map_of("translate_x", strength))


def translate_y(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":
    """Moves by up to 0.3 of the height."""
    return affine(images, *_map_of("translate_y", strength))


def _map_of(name: str, strength: "tf.Tensor") -> Map:
    """Returns the affine map of one of the five above."""
    import tensorflow as tf

    one, zero = tf.ones_like(strength), tf.zeros_like(strength)
    if name == "rotate":
        angle = strength * MOST_TURN
        return tf.cos(angle), -tf.sin(angle), zero, tf.sin(angle), tf.cos(angle), zero
    by = strength * (MOST_SHEAR if name.startswith("shear") else MOST_SHIFT)
    return {
        "shear_x": (one, by, zero, zero, one, zero),
        "shear_y": (one, zero, zero, by, one, zero),
        "translate_x": (one, zero, by, zero, one, zero),
        "translate_y": (one, zero, zero, zero, one, by),
    }[name]


def brightness(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":
    """Multiplies the pixels by 0.1 to 1.9."""
    import tensorflow as tf

    return tf.clip_by_value(images * on_images(1 + MOST_COLOR * strength), 0.0, 1.0)


def contrast(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":
    """Multiplies distances from the cell's mean gray by 0.1 to 1.9."""
    factor = 1 + MOST_COLOR * strength
    return keep_black(images, images * on_images(factor) + on_images(mean_gray(images) * (1 - factor)))


def saturation(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":
    """Multiplies distances from each pixel's gray by 0.1 to 1.9."""
    import tensorflow as tf

    return tf.clip_by_value(map_colors(images, color_map(1 + MOST_COLOR * strength, tf.zeros_like(strength))), 0.0, 1.0)


def sharpness(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":
    """Multiplies distances from the blurred image by 0.1 (soft) to 1.9 (sharp)."""
    import tensorflow as tf

    # The kernel of Pillow's ImageFilter.SMOOTH, (1 1 1, 1 5 1, 1 1 1) / 13; at the edge the mean is that of the pixels that there are.
    square = tf.nn.avg_pool2d(images, 3, 1, "SAME")
    # smooth + (images - smooth) factor, with smooth = (9 square + 4 images) / 13.
    factor = 1 + MOST_COLOR * strength
    return keep_black(images, images * on_images((4 + 9 * factor) / 13) + square * on_images((9 - 9 * factor) / 13))


def posterize(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":
    """Keeps 8 to 4 bits of each color."""
    import tensorflow as tf

    bits = tf.round(4 * tf.abs(strength))
    step = 2**bits / 255
    kept = tf.floor(images * on_images(1 / step) + 1e-4) * on_images(step)
    # Sums, not a choice for each pixel, here and below: several times faster.
    return images + on_images(tf.sign(bits)) * (kept - images)


def solarize(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":
    """Inverts colors above a threshold of 1 to 0; at strength 1 all but black."""
    import tensorflow as tf

    above = tf.cast(images > on_images(1 - tf.abs(strength)), tf.float32)
    return keep_black(images, images + above * (1 - 2 * images))


def autocontrast(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":  # noqa: ARG001 - it has none
    """Stretches each color of the cell over the whole range."""
    import tensorflow as tf

    low = over_pixels(tf.reduce_min, images + tf.cast(pixel_mean(images) <= 0, tf.float32))
    spread = over_pixels(tf.reduce_max, images) - low
    flat = spread <= 1 / 255
    factor = tf.where(flat, 1.0, 1 / tf.maximum(spread, 1 / 255))
    return keep_black(images, images * on_colors(factor, images) - on_colors(tf.where(flat, 0.0, low * factor), images))


def equalize(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":  # noqa: ARG001 - it has none
    """Makes every value of each color of the cell about as frequent."""
    import tensorflow as tf

    shape = tf.shape(images)
    count, width = shape[0], shape[2]
    # 256 levels for each color, one after the other; the fraction below one is cut off.
    first = tf.tile(tf.constant([0.5, 256.5, 512.5]), [width])
    levels = tf.cast(tf.reshape(images, (count, shape[1], width * 3)) * 255 + first, tf.int32)
    levels = tf.reshape(levels, (count, -1))
    counts = tf.reshape(tf.math.bincount(levels, minlength=768, maxlength=768, axis=-1), (count, 3, 256))
    # The black outside is not counted.
    below = tf.cast(tf.cumsum(counts[:, :, 1:], axis=2), tf.float32)
    table = tf.pad(below / tf.maximum(below[:, :, -1:], 1.0), ((0, 0), (0, 0), (1, 0)))
    equal = in_parts(_compiled_look_up(), levels, tf.reshape(table, (count, 768)))
    return keep_black(images, tf.reshape(equal, shape))


@cache
def _compiled_look_up() -> Any:
    """Returns what looks numbers up in tables, traced once; XLA does it several times faster than TensorFlow's gather."""
    import tensorflow as tf

    def look_up(levels: "tf.Tensor", tables: "tf.Tensor") -> "tf.Tensor":
        return tf.gather(tables, levels, batch_dims=1)

    return compiled(look_up, tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None, 768)))


OPERATIONS: dict[str, Operation | None] = {
    "identity": None,
    "rotate": rotate,
    "shear_x": shear_x,
    "shear_y": shear_y,
    "translate_x": translate_x,
    "translate_y": translate_y,
    "brightness": brightness,
    "contrast": contrast,
    "saturation": saturation,
    "sharpness": sharpness,
    "posterize": posterize,
    "solarize": solarize,
    "autocontrast": autocontrast,
    "equalize": equalize,
}


def operate(images: "tf.Tensor", which: "tf.Tensor", strength: "tf.Tensor", names: Sequence[str]) -> "tf.Tensor":
    """Treats each image by one operation.

    Args:
        images: float32 (B, H, W, 3) in [0, 1].
        which: int32 (B,), index into `names`; len(names) leaves an image as it is, bit for bit.
        strength: float32 (B,) in [-1, 1].
        names: of OPERATIONS.
    """
    import tensorflow as tf

    def treatment(operation: Operation) -> Treatment:
        return lambda group, at: operation(group, tf.gather(strength, at))

    # All that is moved is moved together, each image by a map of its own.
    moving = [name for name in names if name in GEOMETRY]
    maps = [tf.stack(_map_of(name, strength), axis=1) for name in moving]

    def move_all(group: "tf.Tensor", at: "tf.Tensor") -> "tf.Tensor":
        own = tf.gather(tf.constant([moving.index(name) if name in moving else 0 for name in names]), tf.gather(which, at))
        chosen = tf.gather(tf.gather(tf.stack(maps, axis=1), at), own, batch_dims=1)
        return affine(group, *tf.unstack(chosen, axis=1))

    still = [(name, operation) for name in dict.fromkeys(names) if name not in GEOMETRY and (operation := OPERATIONS[name]) is not None]
    treatments = [None, *(treatment(operation) for _, operation in still), *([move_all] if moving else [])]
    numbers = {name: number for number, (name, _) in enumerate(still, 1)} | dict.fromkeys(GEOMETRY, len(still) + 1)
    group_of = tf.constant([*(numbers.get(name, 0) for name in names), 0])
    return treat_groups(images, tf.gather(group_of, which), treatments)
