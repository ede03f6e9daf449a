"""The operations that rand_augment and augmix choose from, each on a batch with a strength an image.

An operation takes images (n, H, W, 3) in [0, 1] and strengths (n,) in [-1, 1]; where an operation has no direction, the size counts.
Strength 0 is the identity, or for operations without a strength (autocontrast, equalize) makes no difference. At strength 1 they are as in
the papers (Cubuk et al. 2019, arXiv 1909.13719; Hendrycks et al. 2019, arXiv 1912.02781). The black outside of the cell stays black.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from malaria_exp.aug._groups import keep_black, on_images, pixel_mean, treat_groups
from malaria_exp.aug._warp import affine
from malaria_exp.aug.color import mean_grey

if TYPE_CHECKING:
    import tensorflow as tf

Operation = Callable[["tf.Tensor", "tf.Tensor"], "tf.Tensor"]
MOST_TURN, MOST_SHEAR, MOST_SHIFT, MOST_COLOUR = math.radians(30), 0.3, 0.3, 0.9


def rotate(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":
    """Turns by up to 30 degrees."""
    import tensorflow as tf

    angle = strength * MOST_TURN
    zero = tf.zeros_like(angle)
    return affine(images, xx=tf.cos(angle), xy=-tf.sin(angle), dx=zero, yx=tf.sin(angle), yy=tf.cos(angle), dy=zero)


def shear_x(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":
    """Slants by up to 0.3."""
    import tensorflow as tf

    one, zero = tf.ones_like(strength), tf.zeros_like(strength)
    return affine(images, xx=one, xy=strength * MOST_SHEAR, dx=zero, yx=zero, yy=one, dy=zero)


def shear_y(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":
    """Slants by up to 0.3."""
    import tensorflow as tf

    one, zero = tf.ones_like(strength), tf.zeros_like(strength)
    return affine(images, xx=one, xy=zero, dx=zero, yx=strength * MOST_SHEAR, yy=one, dy=zero)


def translate_x(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":
    """Moves by up to 0.3 of the width."""
    import tensorflow as tf

    one, zero = tf.ones_like(strength), tf.zeros_like(strength)
    return affine(images, xx=one, xy=zero, dx=strength * MOST_SHIFT, yx=zero, yy=one, dy=zero)


def translate_y(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":
    """Moves by up to 0.3 of the height."""
    import tensorflow as tf

    one, zero = tf.ones_like(strength), tf.zeros_like(strength)
    return affine(images, xx=one, xy=zero, dx=zero, yx=zero, yy=one, dy=strength * MOST_SHIFT)


def brightness(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":
    """Multiplies the pixels by 0.1 to 1.9."""
    return keep_black(images, images * on_images(1 + MOST_COLOUR * strength))


def contrast(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":
    """Multiplies distances from the cell's mean grey by 0.1 to 1.9."""
    mean = on_images(mean_grey(images))
    return keep_black(images, mean + (images - mean) * on_images(1 + MOST_COLOUR * strength))


def saturation(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":
    """Multiplies distances from each pixel's grey by 0.1 to 1.9."""
    import tensorflow as tf

    grey = tf.image.rgb_to_grayscale(images)
    return keep_black(images, grey + (images - grey) * on_images(1 + MOST_COLOUR * strength))


def sharpness(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":
    """Multiplies distances from the blurred image by 0.1 (soft) to 1.9 (sharp)."""
    import tensorflow as tf

    # The kernel of Pillow's ImageFilter.SMOOTH, (1 1 1, 1 5 1, 1 1 1) / 13, as sums: several times faster than a convolution here.
    padded = tf.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), "SYMMETRIC")
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    smooth = (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:] + 4 * images) / 13
    return keep_black(images, smooth + (images - smooth) * on_images(1 + MOST_COLOUR * strength))


def posterize(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":
    """Keeps 8 to 4 bits of each colour."""
    import tensorflow as tf

    step = on_images(2 ** tf.round(4 * tf.abs(strength))) / 255
    kept = tf.floor(images / step + 1e-4) * step
    return tf.where(step > 1.5 / 255, kept, images)


def solarize(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":
    """Inverts colours above a threshold of 1 to 0; at strength 1 all but black."""
    import tensorflow as tf

    threshold = on_images(1 - tf.abs(strength))
    return keep_black(images, tf.where(images > threshold, 1 - images, images))


def autocontrast(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":  # noqa: ARG001 - it has none
    """Stretches each colour of the cell over the whole range."""
    import tensorflow as tf

    outside = tf.cast(pixel_mean(images) <= 0, tf.float32)
    low = tf.reduce_min(images + outside, axis=(1, 2), keepdims=True)
    high = tf.reduce_max(images, axis=(1, 2), keepdims=True)
    spread = high - low
    return keep_black(images, tf.where(spread > 1 / 255, (images - low) / tf.maximum(spread, 1 / 255), images))


def equalize(images: "tf.Tensor", strength: "tf.Tensor") -> "tf.Tensor":  # noqa: ARG001 - it has none
    """Makes every value of each colour of the cell about as frequent."""
    import tensorflow as tf

    shape = tf.shape(images)
    levels = tf.cast(tf.round(tf.transpose(images, (0, 3, 1, 2)) * 255), tf.int32)
    levels = tf.reshape(levels, (shape[0] * 3, shape[1] * shape[2]))
    # The black outside is not counted.
    counts = tf.math.bincount(levels, minlength=256, maxlength=256, axis=-1)[:, 1:]
    below = tf.cast(tf.cumsum(counts, axis=1), tf.float32)
    table = tf.pad(below / tf.maximum(below[:, -1:], 1.0), ((0, 0), (1, 0)))
    equal = tf.reshape(tf.gather(table, levels, batch_dims=1), (shape[0], 3, shape[1], shape[2]))
    return keep_black(images, tf.transpose(equal, (0, 2, 3, 1)))


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

    def treatment(operation: Operation) -> Callable[["tf.Tensor", "tf.Tensor"], "tf.Tensor"]:
        return lambda group, at: operation(group, tf.gather(strength, at))

    chosen = [OPERATIONS[name] for name in names]
    return treat_groups(images, which, [None if one is None else treatment(one) for one in chosen] + [None])
