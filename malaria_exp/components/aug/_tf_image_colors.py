"""tf.image's operations on colors, for a row of them at once: a pixel is read and written once, however many there are."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from malaria_exp.components.aug._parts import compiled, in_parts

if TYPE_CHECKING:
    import tensorflow as tf

# The three colors of images, each float32 (n, H, W).
Planes = list["tf.Tensor"]


def recolor(images: "tf.Tensor", operations: Sequence[str], chosen: Sequence["tf.Tensor"], numbers: Sequence["tf.Tensor"]) -> "tf.Tensor":
    """Returns images after operations in a row, in [0, 1]; an image that none was chosen for as it was, bit for bit.

    The black outside of the cell stays black, as `keep_black` keeps it.

    Args:
        images: float32 (B, H, W, 3) in [0, 1].
        operations: their names.
        chosen: of each operation, the images that it is done to, bool (B,).
        numbers: of each operation, float32 (B,): the factor of saturation or of contrast, or what is added for brightness.
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
            chosen, strength = (columns[:, place, None, None] for place in (2 * number, 2 * number + 1))
            changed = CHANGES[name](planes, strength)
            planes = [tf.where(chosen > 0, after, before) for after, before in zip(changed, planes, strict=True)]
        return tf.stack(planes, axis=-1)

    return compiled(row, tf.TensorSpec((None, None, None, 3)), tf.TensorSpec((None, 2 * len(operations))))


def _saturation(planes: Planes, factor: "tf.Tensor") -> Planes:
    """Multiplies HSV's saturation, at most to 1: hue and value stay, so distances from the largest color are multiplied."""
    import tensorflow as tf

    high, low = (reduce(reduce(planes[0], planes[1]), planes[2]) for reduce in (tf.maximum, tf.minimum))
    ratio = tf.minimum(factor, tf.math.divide_no_nan(high, high - low))
    # The last bit of a product may be below black.
    return [tf.maximum(high - (high - plane) * ratio, 0.0) for plane in planes]


def _brightness(planes: Planes, added: "tf.Tensor") -> Planes:
    return _black_kept(planes, [plane + added for plane in planes])


def _contrast(planes: Planes, factor: "tf.Tensor") -> Planes:
    import tensorflow as tf

    means = [tf.reduce_mean(plane, axis=(1, 2), keepdims=True) for plane in planes]
    return _black_kept(planes, [plane * factor + mean * (1 - factor) for plane, mean in zip(planes, means, strict=True)])


def _black_kept(before: Planes, after: Planes) -> Planes:
    """Does what `keep_black` does."""
    import tensorflow as tf

    light = tf.minimum((before[0] + before[1] + before[2]) * (10 / 3), 1.0)
    return [old + light * (tf.clip_by_value(new, 0.0, 1.0) - old) for old, new in zip(before, after, strict=True)]


CHANGES = {"adjust_saturation": _saturation, "random_brightness": _brightness, "random_contrast": _contrast}
