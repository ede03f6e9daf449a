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


def quarter_turns(number: int) -> Treatment:
    """Returns the treatment that turns images by so many quarters of a circle, 1 to 3, against the clock as tf.image.rot90 does.

    tf.image's functions check the number of images, which a group of them does not know beforehand, by operations with a state; and with
    one of those in it, TensorFlow silently makes no step of a repeatable pipeline in parallel.
    """
    import tensorflow as tf

    def turn(group: "tf.Tensor", at: "tf.Tensor") -> "tf.Tensor":  # noqa: ARG001 - all alike
        if number == 2:
            return tf.reverse(group, (1, 2))
        return tf.reverse(tf.transpose(group, (0, 2, 1, 3)), (1,) if number == 1 else (2,))

    return turn


def on_images(numbers: "tf.Tensor") -> "tf.Tensor":
    """Returns (n,) numbers as (n, 1, 1, 1), to be combined with images."""
    return numbers[:, None, None, None]


def keep_black(before: "tf.Tensor", after: "tf.Tensor") -> "tf.Tensor":
    """Returns the images after a change of colour with the black outside of the cell still black, in [0, 1].

    The change fades out towards black, over the darkest tenth of the range: cells' rims fade into black over a pixel or two, and
    a hard edge would become a bright ring.

    Args:
        before: float32 (n, H, W, 3) in [0, 1].
        after: the same pixels with other colours; of any range.
    """
    import tensorflow as tf

    light = tf.minimum(10 * pixel_mean(before), 1.0)
    return before + light * (tf.clip_by_value(after, 0.0, 1.0) - before)


def pixel_mean(images: "tf.Tensor") -> "tf.Tensor":
    """Returns the mean of each pixel's three colours, in all three, (n, H, W, 3); 0 for black alone.

    A product with a matrix: on a CPU twice as fast as reducing an axis of three and spreading it again.
    """
    import tensorflow as tf

    return tf.reshape(tf.matmul(tf.reshape(images, (-1, 3)), tf.fill((3, 3), 1 / 3)), tf.shape(images))
