"""Moving images: an affine map for each of a batch, bilinear, with black where nothing was."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


def affine(
    images: "tf.Tensor", xx: "tf.Tensor", xy: "tf.Tensor", dx: "tf.Tensor", yx: "tf.Tensor", yy: "tf.Tensor", dy: "tf.Tensor"
) -> "tf.Tensor":
    """Returns images whose pixel (x, y), seen from the middle, is that of the original at (xx x + xy y + dx, yx x + yy y + dy).

    Args:
        images: float32 (n, H, W, C).
        xx: float32 (n,), as are the others.
        xy: see above.
        dx: in parts of the width, from the middle.
        yx: see above.
        yy: see above.
        dy: in parts of the height, from the middle.
    """
    import tensorflow as tf

    height, width = tf.shape(images)[1], tf.shape(images)[2]
    middle_x, middle_y = (tf.cast(size - 1, tf.float32) / 2 for size in (width, height))
    dx, dy = dx * tf.cast(width, tf.float32), dy * tf.cast(height, tf.float32)
    zero = tf.zeros_like(xx)
    right = dx + middle_x - xx * middle_x - xy * middle_y
    down = dy + middle_y - yx * middle_x - yy * middle_y
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([xx, xy, right, yx, yy, down, zero, zero], axis=1),
        output_shape=[height, width],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
