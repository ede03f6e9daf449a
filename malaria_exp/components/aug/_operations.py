"""The operations that rand_augment and augmix choose from, each with a strength for each image.

An operation takes images (n, H, W, 3) in [0, 1] and strengths (n,) in [-1, 1]; only the absolute value counts for an operation that has
no direction. Strength 0 is the identity, except for autocontrast and equalize, which have no strength. At strength 1 they are as in the
papers (Cubuk et al. 2019, arXiv 1909.13719; Hendrycks et al. 2019, arXiv 1912.02781). The black outside of the cell stays black.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from malaria_exp.components.aug._colors import (
    color_map,
    keep_black,
    map_colors,
    mean_gray,
    on_colors,
    on_images,
    over_pixels,
    pixel_mean,
)
from malaria_exp.components.aug._compiled import compiled, in_parts
from malaria_exp.components.aug._geometry import affine
from malaria_exp.components.aug._per_image import Treatment, treat_groups

if TYPE_CHECKING:
    import tensorflow as tf

OperationName = Literal[
    "identity",
    "rotate",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "brightness",
    "contrast",
    "saturation",
    "sharpness",
    "posterize",
    "solarize",
    "autocontrast",
    "equalize",
]
Operation = Callable[["tf.Tensor", "tf.Tensor"], "tf.Tensor"]
# At strength 1: angle of a rotation in radians, slant, fraction of the width or height, change of a color's factor.
MOST_TURN, MOST_SHEAR, MOST_SHIFT, MOST_COLOR = math.radians(30), 0.3, 0.3, 0.9
GEOMETRY = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")


def geometric_map(name: str, strength: "tf.Tensor") -> "tf.Tensor":
    """Returns the maps, float32 (n, 6) as `affine` takes them, of a rotation by up to 30 degrees, a slant or a shift by up to 0.3."""
    import tensorflow as tf

    one, zero, angle = tf.ones_like(strength), tf.zeros_like(strength), strength * MOST_TURN
    by = strength * (MOST_SHEAR if name.startswith("shear") else MOST_SHIFT)
    numbers = {
        "rotate": (tf.cos(angle), -tf.sin(angle), zero, tf.sin(angle), tf.cos(angle), zero),
        "shear_x": (one, by, zero, zero, one, zero),
        "shear_y": (one, zero, zero, by, one, zero),
        "translate_x": (one, zero, by, zero, one, zero),
        "translate_y": (one, zero, zero, zero, one, by),
    }[name]
    return tf.stack(numbers, axis=1)


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

    # The kernel of Pillow's ImageFilter.SMOOTH, (1 1 1, 1 5 1, 1 1 1) / 13; at an edge the mean is over the pixels inside of the image.
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
    # A weighted sum, here and below, is several times faster than tf.where.
    return images + on_images(tf.sign(bits)) * (kept - images)


def solarize(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":
    """Inverts colors above a threshold of 1 to 0; at strength 1 all but black."""
    import tensorflow as tf

    above = tf.cast(images > on_images(1 - tf.abs(strength)), tf.float32)
    return keep_black(images, images + above * (1 - 2 * images))


def autocontrast(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":  # noqa: ARG001 - it has no strength
    """Stretches each color of the cell to the whole range."""
    import tensorflow as tf

    low = over_pixels(tf.reduce_min, images + tf.cast(pixel_mean(images) <= 0, tf.float32))
    spread = over_pixels(tf.reduce_max, images) - low
    flat = spread <= 1 / 255
    factor = tf.where(flat, 1.0, 1 / tf.maximum(spread, 1 / 255))
    return keep_black(images, images * on_colors(factor, images) - on_colors(tf.where(flat, 0.0, low * factor), images))


def equalize(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":  # noqa: ARG001 - it has no strength
    """Makes every value of each color of the cell about as frequent."""
    import tensorflow as tf

    shape = tf.shape(images)
    count, width = shape[0], shape[2]
    # 256 levels for each color: red has 0 to 255, green 256 to 511, blue 512 to 767. The cast rounds down.
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
    """Returns a compiled look-up in tables, traced once; it is several times faster than TensorFlow's gather."""
    import tensorflow as tf

    def look_up(levels: "tf.Tensor", tables: "tf.Tensor") -> "tf.Tensor":
        return tf.gather(tables, levels, batch_dims=1)

    return compiled(look_up, tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None, 768)))


# The operations on colors; those of GEOMETRY and "identity" are the others.
RECOLOR: dict[str, Operation] = {
    operation.__name__: operation
    for operation in (brightness, contrast, saturation, sharpness, posterize, solarize, autocontrast, equalize)
}


def operate(images: "tf.Tensor", which: "tf.Tensor", strength: "tf.Tensor", names: Sequence[str]) -> "tf.Tensor":
    """Treats each image by one operation.

    Args:
        images: float32 (B, H, W, 3) in [0, 1].
        which: int32 (B,), index into `names`; len(names) leaves an image as it is, bit for bit.
        strength: float32 (B,) in [-1, 1].
        names: of operations, see OperationName.
    """
    import tensorflow as tf

    def recolor(operation: Operation) -> Treatment:
        return lambda group, at: operation(group, tf.gather(strength, at))

    moving = [name for name in names if name in GEOMETRY]
    maps = [geometric_map(name, strength) for name in moving]

    def move(group: "tf.Tensor", at: "tf.Tensor") -> "tf.Tensor":
        """Moves all images that any operation of GEOMETRY moves, each by the map of its own operation."""
        own = tf.gather(tf.constant([moving.index(name) if name in moving else 0 for name in names]), tf.gather(which, at))
        return affine(group, tf.gather(tf.gather(tf.stack(maps, axis=1), at), own, batch_dims=1))

    recoloring = [name for name in dict.fromkeys(names) if name in RECOLOR]
    treatments = [None, *(recolor(RECOLOR[name]) for name in recoloring), *([move] if moving else [])]
    numbers = {name: number for number, name in enumerate(recoloring, 1)} | dict.fromkeys(GEOMETRY, len(recoloring) + 1)
    group_of = tf.constant([*(numbers.get(name, 0) for name in names), 0])
    return treat_groups(images, tf.gather(group_of, which), treatments)
