"""Boxes in images: how they are drawn, and how other pixels are put into them."""

from typing import TYPE_CHECKING

from malaria_exp.components.aug._draws import Draws

if TYPE_CHECKING:
    import tensorflow as tf


def draw_sides(draws: Draws, min_area: float, max_area: float, ratio: float) -> tuple["tf.Tensor", "tf.Tensor"]:
    """Returns heights and widths in parts of the image, float32 (B,), at most 1.

    Args:
        draws: of the batch.
        min_area: in parts of the image's.
        max_area: the same.
        ratio: width over height is 1 / this to this, its logarithm evenly spread.
    """
    import tensorflow as tf

    area, shape = draws.uniform(min_area, max_area), draws.log_uniform(1 / ratio, ratio)
    return tf.minimum(tf.sqrt(area / shape), 1.0), tf.minimum(tf.sqrt(area * shape), 1.0)


def paste(
    images: "tf.Tensor",
    others: "tf.Tensor",
    chosen: "tf.Tensor",
    top: "tf.Tensor",
    bottom: "tf.Tensor",
    left: "tf.Tensor",
    right: "tf.Tensor",
) -> "tf.Tensor":
    """Returns the chosen images with a box of others' pixels; all other pixels as they are, bit for bit.

    Args:
        images: float32 (n, size, size, 3).
        others: the same, or of a shape that spreads to it.
        chosen: bool (n,).
        top: first row, int32 (n,).
        bottom: the row after the last.
        left: first column.
        right: the column after the last.
    """
    import tensorflow as tf

    at = tf.range(tf.shape(images)[1])[None, :]
    rows = (at >= top[:, None]) & (at < bottom[:, None]) & chosen[:, None]
    columns = (at >= left[:, None]) & (at < right[:, None])
    # Products with 0 and 1: several times faster than a choice for each pixel. Short last axes are slow, so there is one of a whole row.
    across = tf.repeat(tf.cast(columns, tf.float32), 3, axis=1)
    box = tf.matmul(tf.cast(rows, tf.float32)[:, :, None], across[:, None, :])
    lines = [tf.reshape(part, (tf.shape(part)[0], tf.shape(part)[1], -1)) for part in (images, others)]
    return tf.reshape((1 - box) * lines[0] + box * lines[1], tf.shape(images))
