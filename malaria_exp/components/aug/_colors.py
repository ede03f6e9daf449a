"""Changing colors: with the black outside of the cell kept black, by a linear map for each image, and by tf.image's operations."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from malaria_exp.components.aug._compiled import compiled, in_parts

if TYPE_CHECKING:
    import tensorflow as tf

# From red, green and blue to YIQ: the gray value of Rec. 601, and two axes of color in which hue is an angle.
TO_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))
# The three colors of images, each float32 (n, H, W).
Planes = list["tf.Tensor"]


def on_images(numbers: "tf.Tensor") -> "tf.Tensor":
    """Returns a number for each image, (n,), in the shape (n, 1, 1, 1) that broadcasts to images."""
    return numbers[:, None, None, None]


def on_colors(numbers: "tf.Tensor", images: "tf.Tensor") -> "tf.Tensor":
    """Returns a number for each image and color, (n, 3), in the shape (n, 1, W, 3): broadcasting is slow over a last axis of three."""
    import tensorflow as tf

    return tf.tile(numbers[:, None, None, :], (1, 1, tf.shape(images)[2], 1))


def over_pixels(reduce: Callable[..., "tf.Tensor"], images: "tf.Tensor") -> "tf.Tensor":
    """Reduces images to a number for each image and color, (n, 3), one axis at a time: several times faster than both at once."""
    return reduce(reduce(images, axis=1), axis=1)


def cell_pixels(images: "tf.Tensor") -> "tf.Tensor":
    """Returns the number of pixels of each image that are not black, at least 1, float32 (n,)."""
    import tensorflow as tf

    light = images[..., 0] + images[..., 1] + images[..., 2]
    return tf.maximum(tf.reduce_sum(tf.sign(light), axis=(1, 2)), 1.0)


def keep_black(before: "tf.Tensor", after: "tf.Tensor") -> "tf.Tensor":
    """Returns the images after a change of color, in [0, 1], with the black outside of the cell kept black.

    The change fades out over the darkest tenth of the range. Cells' rims fade into black over a pixel or two, so a sharp limit would
    make a bright ring of them.

    Args:
        before: float32 (n, H, W, 3) in [0, 1].
        after: the same pixels with changed colors, of any range.
    """
    import tensorflow as tf

    light = tf.minimum(10 * pixel_mean(before), 1.0)
    return before + light * (tf.clip_by_value(after, 0.0, 1.0) - before)


def pixel_mean(images: "tf.Tensor") -> "tf.Tensor":
    """Returns the mean of each pixel's three colors, three times, (n, H, W, 3); it is 0 for black only.

    The product with a matrix is twice as fast on a CPU as reducing the last axis and broadcasting it again.
    """
    import tensorflow as tf

    return tf.reshape(tf.matmul(tf.reshape(images, (-1, 3)), tf.fill((3, 3), 1 / 3)), tf.shape(images))


def color_map(saturation: "tf.Tensor", angle: "tf.Tensor") -> "tf.Tensor":
    """Returns linear maps of colors that change saturation and hue; gray pixels stay as they are.

    Args:
        saturation: what distances from a pixel's gray are multiplied by, float32 (n,).
        angle: by which hue is turned, in radians, float32 (n,).

    Returns:
        float32 (n, 3, 3), for pixel @ map.
    """
    import numpy as np
    import tensorflow as tf

    to_yiq = np.array(TO_YIQ)
    to_rgb = np.linalg.inv(to_yiq)
    # In YIQ both act on the plane of colors alone: saturation stretches it, hue rotates it (quarter is a rotation by 90 degrees).
    gray = to_yiq.T @ np.diag([1.0, 0, 0]) @ to_rgb.T
    same = to_yiq.T @ np.diag([0, 1.0, 1.0]) @ to_rgb.T
    quarter = to_yiq.T @ np.array([[0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]]) @ to_rgb.T
    gray, same, quarter = (tf.constant(matrix, tf.float32) for matrix in (gray, same, quarter))
    along, across = (saturation * function(angle) for function in (tf.cos, tf.sin))
    return gray + along[:, None, None] * same + across[:, None, None] * quarter


def map_colors(images: "tf.Tensor", maps: "tf.Tensor") -> "tf.Tensor":
    """Returns images (n, H, W, 3) with each pixel multiplied by its image's map (n, 3, 3)."""
    import tensorflow as tf

    shape = tf.shape(images)
    pixels = tf.reshape(images, (shape[0], shape[1] * shape[2], 3))
    return tf.reshape(tf.matmul(pixels, maps), shape)


def mean_gray(images: "tf.Tensor") -> "tf.Tensor":
    """Returns the mean gray of each image's cell, without the black around it, float32 (n,)."""
    import tensorflow as tf

    return tf.linalg.matvec(over_pixels(tf.reduce_sum, images), tf.constant(TO_YIQ[0])) / cell_pixels(images)


def recolor(images: "tf.Tensor", operations: Sequence[str], chosen: Sequence["tf.Tensor"], numbers: Sequence["tf.Tensor"]) -> "tf.Tensor":
    """Returns images after several of tf.image's operations, in [0, 1], with black kept black as `keep_black` does.

    One pass over the pixels does all operations. An image for which none is chosen stays as it is, bit for bit.

    Args:
        images: float32 (B, H, W, 3) in [0, 1].
        operations: names of RECOLORINGS, in the order in which they are done.
        chosen: the images that each operation is done to, bool (B,).
        numbers: for each operation, float32 (B,): the factor of saturation or of contrast, or what is added for brightness.
    """
    import tensorflow as tf

    columns = [column for which, number in zip(chosen, numbers, strict=True) for column in (tf.cast(which, tf.float32), number)]
    return in_parts(_compiled_row(tuple(operations)), images, tf.stack(columns, axis=1))


@cache
def _compiled_row(operations: tuple[str, ...]) -> Any:
    import tensorflow as tf

    def row(images: "tf.Tensor", columns: "tf.Tensor") -> "tf.Tensor":
        planes = tf.unstack(images, axis=-1)
        for number, name in enumerate(operations):
            chosen, strength = (columns[:, column, None, None] for column in (2 * number, 2 * number + 1))
            changed = RECOLORINGS[name](planes, strength)
            planes = [tf.where(chosen > 0, after, before) for after, before in zip(changed, planes, strict=True)]
        return tf.stack(planes, axis=-1)

    return compiled(row, tf.TensorSpec((None, None, None, 3)), tf.TensorSpec((None, 2 * len(operations))))


def _saturation(planes: Planes, factor: "tf.Tensor") -> Planes:
    """Multiplies HSV's saturation, at most to 1: hue and value stay, so distances from the largest color are multiplied."""
    import tensorflow as tf

    high, low = (reduce(reduce(planes[0], planes[1]), planes[2]) for reduce in (tf.maximum, tf.minimum))
    ratio = tf.minimum(factor, tf.math.divide_no_nan(high, high - low))
    # Rounding may make it a little less than 0.
    return [tf.maximum(high - (high - plane) * ratio, 0.0) for plane in planes]


def _brightness(planes: Planes, added: "tf.Tensor") -> Planes:
    return _black_kept(planes, [plane + added for plane in planes])


def _contrast(planes: Planes, factor: "tf.Tensor") -> Planes:
    import tensorflow as tf

    means = [tf.reduce_mean(plane, axis=(1, 2), keepdims=True) for plane in planes]
    return _black_kept(planes, [plane * factor + mean * (1 - factor) for plane, mean in zip(planes, means, strict=True)])


def _black_kept(before: Planes, after: Planes) -> Planes:
    """Does what `keep_black` does, on planes."""
    import tensorflow as tf

    light = tf.minimum((before[0] + before[1] + before[2]) * (10 / 3), 1.0)
    return [old + light * (tf.clip_by_value(new, 0.0, 1.0) - old) for old, new in zip(before, after, strict=True)]


RECOLORINGS = {"adjust_saturation": _saturation, "random_brightness": _brightness, "random_contrast": _contrast}
