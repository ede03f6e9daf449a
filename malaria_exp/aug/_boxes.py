"""Boxes in images: how they are drawn, and which pixels lie in them."""

from typing import TYPE_CHECKING

from malaria_exp.aug._draws import Draws

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


def inside_box(size: "tf.Tensor", top: "tf.Tensor", bottom: "tf.Tensor", left: "tf.Tensor", right: "tf.Tensor") -> "tf.Tensor":
    """Returns which pixels lie in each box, bool (n, size, size, 1).

    Args:
        size: height and width of the images, int32 ().
        top: first row, int32 (n,).
        bottom: the row after the last.
        left: first column.
        right: the column after the last.
    """
    import tensorflow as tf

    at = tf.range(size)[None, :]
    rows = (at >= top[:, None]) & (at < bottom[:, None])
    columns = (at >= left[:, None]) & (at < right[:, None])
    return (rows[:, :, None] & columns[:, None, :])[..., None]
