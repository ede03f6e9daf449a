"""Treating each image of a batch in its own way, once: the images that share a treatment are taken together."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

# images (n, H, W, 3) and where they stand in the batch, int32 (n,) -> images of the same shape.
Treatment = Callable[["tf.Tensor", "tf.Tensor"], "tf.Tensor"]


def treat_groups(images: "tf.Tensor", which: "tf.Tensor", treatments: Sequence[Treatment | None]) -> "tf.Tensor":
    """Treats each image by the treatment of its number; several times faster than treating all in every way and choosing.

    Args:
        images: float32 (B, H, W, 3).
        which: int32 (B,), numbers of treatments.
        treatments: by number; None leaves an image as it is, bit for bit. Each has to bear a group of no images.
    """
    import tensorflow as tf

    shape = tf.shape(images)
    places = tf.dynamic_partition(tf.range(shape[0]), which, len(treatments))
    groups = tf.dynamic_partition(images, which, len(treatments))
    treated = [
        group if treatment is None else treatment(group, place) for treatment, group, place in zip(treatments, groups, places, strict=True)
    ]
    return tf.reshape(tf.dynamic_stitch(places, treated), shape)


def treat_some(images: "tf.Tensor", chosen: "tf.Tensor", treatment: Treatment) -> "tf.Tensor":
    """Treats the chosen images, bool (B,), and leaves the others as they are, bit for bit."""
    import tensorflow as tf

    return treat_groups(images, tf.cast(chosen, tf.int32), [None, treatment])


def on_images(numbers: "tf.Tensor") -> "tf.Tensor":
    """Returns (n,) numbers as (n, 1, 1, 1), to be combined with images."""
    return numbers[:, None, None, None]


def on_colors(numbers: "tf.Tensor", images: "tf.Tensor") -> "tf.Tensor":
    """Returns a number for each image and color, (n, 3), to be combined with images (n, H, W, 3): (n, 1, W, 3), as short last axes are slow."""
    import tensorflow as tf

    return tf.tile(numbers[:, None, None, :], (1, 1, tf.shape(images)[2], 1))


def over_pixels(reduce: Callable[..., "tf.Tensor"], images: "tf.Tensor") -> "tf.Tensor":
    """Reduces (n, H, W, 3) by tf.reduce_sum or another to a number for each image and color, (n, 3); several times faster than at once."""
    return reduce(reduce(images, axis=1), axis=1)


def cell_pixels(images: "tf.Tensor") -> "tf.Tensor":
    """Returns how many pixels of each image are not black, at least 1, float32 (n,)."""
    import tensorflow as tf

    light = images[..., 0] + images[..., 1] + images[..., 2]
    return tf.maximum(tf.reduce_sum(tf.sign(light), axis=(1, 2)), 1.0)


def keep_black(before: "tf.Tensor", after: "tf.Tensor") -> "tf.Tensor":
    """Returns the images after a change of color with the black outside of the cell still black, in [0, 1].

    The change fades out towards black, over the darkest tenth of the range: cells' rims fade into black over a pixel or two, and
    a hard edge would become a bright ring.

    Args:
        before: float32 (n, H, W, 3) in [0, 1].
        after: the same pixels with other colors; of any range.
    """
    import tensorflow as tf

    light = tf.minimum(10 * pixel_mean(before), 1.0)
    return before + light * (tf.clip_by_value(after, 0.0, 1.0) - before)


def pixel_mean(images: "tf.Tensor") -> "tf.Tensor":
    """Returns the mean of each pixel's three colors, in all three, (n, H, W, 3); 0 for black alone.

    A product with a matrix: on a CPU twice as fast as reducing an axis of three and spreading it again.
    """
    import tensorflow as tf

    return tf.reshape(tf.matmul(tf.reshape(images, (-1, 3)), tf.fill((3, 3), 1 / 3)), tf.shape(images))
