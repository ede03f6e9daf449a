"""Moving pixels: symmetries of the square, affine maps, crops, and boxes that are pasted."""

from functools import cache, partial
from typing import TYPE_CHECKING, Any

from malaria_exp.components.aug._compiled import compiled, in_parts
from malaria_exp.components.aug._per_image import Draws, treat_groups

if TYPE_CHECKING:
    import tensorflow as tf


def apply_symmetry(images: "tf.Tensor", number: int) -> "tf.Tensor":
    """Applies one of the eight symmetries of the square to all images (n, H, H, C).

    Args:
        images: to be moved.
        number: 0 to 7: 4 is a transposition, after which 1 flips top to bottom and 2 flips left to right; sums do several.
    """
    import tensorflow as tf

    if number & 4:
        images = tf.transpose(images, (0, 2, 1, 3))
    axes = [axis for axis, flipped in ((1, number & 1), (2, number & 2)) if flipped]
    return tf.reverse(images, axes) if axes else images


def apply_symmetries(images: "tf.Tensor", numbers: "tf.Tensor") -> "tf.Tensor":
    """Applies to each image the symmetry of its number, int32 (B,), see `apply_symmetry`; 0 leaves it as it is, bit for bit."""
    return treat_groups(images, numbers, [None, *(partial(_moved, number) for number in range(1, 8))])


def _moved(number: int, group: "tf.Tensor", at: "tf.Tensor") -> "tf.Tensor":  # noqa: ARG001 - the same for all
    return apply_symmetry(group, number)


def _compose(first: int, then: int) -> int:
    """Returns the number of the symmetry that is one symmetry after another."""
    vertical, horizontal = first & 1, first >> 1 & 1
    if then & 4:
        vertical, horizontal = horizontal, vertical
    return (vertical | horizontal << 1 | first & 4) ^ then


# By the number of the first symmetry, then by that of the second.
COMPOSED = [[_compose(first, then) for then in range(8)] for first in range(8)]
FLIP_UP_DOWN, FLIP_LEFT_RIGHT = 1, 2
# By 0, 90, 180 and 270 degrees, counterclockwise as tf.image.rot90.
QUARTER_TURNS = [0, 5, 3, 6]


def quarter_turned(images: "tf.Tensor", turns: "tf.Tensor") -> "tf.Tensor":
    """Rotates each image by its number of quarter turns, int32 (B,), 0 to 3, counterclockwise."""
    import tensorflow as tf

    return apply_symmetries(images, tf.gather(QUARTER_TURNS, turns))


def flip_some(images: "tf.Tensor", chosen: "tf.Tensor", *, horizontally: bool, vertically: bool) -> "tf.Tensor":
    """Flips the chosen images, bool (B,)."""
    import tensorflow as tf

    return apply_symmetries(images, tf.where(chosen, FLIP_LEFT_RIGHT * horizontally + FLIP_UP_DOWN * vertically, 0))


def affine(images: "tf.Tensor", maps: "tf.Tensor") -> "tf.Tensor":
    """Moves pixels, bilinear: pixel (x, y) becomes that of the original at (xx x + xy y + dx, yx x + yy y + dy), black outside of it.

    Args:
        images: float32 (n, H, W, 3); x and y are 0 in the middle of an image.
        maps: float32 (n, 6): xx, xy, dx (a fraction of the width), yx, yy, dy (a fraction of the height).
    """
    import tensorflow as tf

    xx, xy, dx, yx, yy, dy = tf.unstack(maps, axis=1)
    height, width = (tf.cast(tf.shape(images)[axis], tf.float32) for axis in (1, 2))
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    right = dx * width + middle_x - xx * middle_x - xy * middle_y
    down = dy * height + middle_y - yx * middle_x - yy * middle_y
    return move(images, tf.stack([xx, xy, right, yx, yy, down], axis=1))


def move(images: "tf.Tensor", maps: "tf.Tensor") -> "tf.Tensor":
    """Moves pixels, bilinear: column x, row y becomes that of the original at column a x + b y + c, row d x + e y + f, black outside of it.

    Four times faster than TensorFlow's ImageProjectiveTransform, which computes the position anew for each color of a pixel.

    Args:
        images: float32 (n, H, W, 3).
        maps: float32 (n, 6), a to f.
    """
    return in_parts(_compiled_bilinear(), images, maps)


@cache
def _compiled_bilinear() -> Any:
    """Returns the compiled function, traced once; XLA compiles it for each size of images."""
    import tensorflow as tf

    return compiled(_bilinear, tf.TensorSpec((None, None, None, 3), tf.float32), tf.TensorSpec((None, 6), tf.float32))


def _bilinear(images: "tf.Tensor", maps: "tf.Tensor") -> "tf.Tensor":
    import tensorflow as tf

    shape = tf.shape(images)
    count, height, width = shape[0], shape[1], shape[2]
    x, y = tf.range(tf.cast(width, tf.float32))[None, None, :], tf.range(tf.cast(height, tf.float32))[None, :, None]
    a, b, c, d, e, f = (maps[:, number, None, None] for number in range(6))
    columns, rows = a * x + b * y + c, d * x + e * y + f
    left, top = tf.floor(columns), tf.floor(rows)
    pixels, first = tf.reshape(images, (-1, 3)), (tf.range(count) * height * width)[:, None, None]
    moved = tf.zeros_like(images)
    for down in (0, 1):
        for right in (0, 1):
            column, row = tf.cast(left, tf.int32) + right, tf.cast(top, tf.int32) + down
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            weight = (1 - tf.abs(columns - left - right)) * (1 - tf.abs(rows - top - down)) * tf.cast(inside, tf.float32)
            at = first + tf.clip_by_value(row, 0, height - 1) * width + tf.clip_by_value(column, 0, width - 1)
            moved += weight[..., None] * tf.gather(pixels, at)
    return moved


def crop(
    images: "tf.Tensor", which: "tf.Tensor", left: "tf.Tensor", right: "tf.Tensor", top: "tf.Tensor", bottom: "tf.Tensor"
) -> "tf.Tensor":
    """Returns parts of images, each enlarged to a whole one, bilinear.

    Args:
        images: float32 (B, H, W, 3).
        which: the image of each part, int32 (n,).
        left: middle of its first column, from 0 (of the image's first) to 1 (of its last), float32 (n,), as are the others.
        right: of its last column.
        top: of its first row.
        bottom: of its last row.

    Returns:
        float32 (n, H, W, 3).
    """
    import tensorflow as tf

    # A position that is rounded to beyond the last pixel would be black.
    most = 1 - 3e-7
    lines = [tf.clip_by_value(line, 0.0, most) for line in (top, left, bottom, right)]
    return tf.raw_ops.CropAndResize(image=images, boxes=tf.stack(lines, axis=1), box_ind=which, crop_size=tf.shape(images)[1:3])


def draw_sides(draws: Draws, min_area: float, max_area: float, ratio: float) -> tuple["tf.Tensor", "tf.Tensor"]:
    """Returns heights and widths of boxes as fractions of the image's side, float32 (B,), at most 1.

    Args:
        draws: of the batch.
        min_area: the smallest area, as a fraction of the image's.
        max_area: the largest.
        ratio: width over height is 1 / ratio to ratio, with a uniformly distributed logarithm.
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
    """Returns the images with a box of others' pixels in the chosen ones; all other pixels stay as they are, bit for bit.

    Args:
        images: float32 (n, size, size, 3).
        others: of the same shape, or of one that broadcasts to it.
        chosen: bool (n,).
        top: the box's first row, int32 (n,), as the others.
        bottom: the row after its last.
        left: its first column.
        right: the column after its last.
    """
    import tensorflow as tf

    at = tf.range(tf.shape(images)[1])[None, :]
    rows = (at >= top[:, None]) & (at < bottom[:, None]) & chosen[:, None]
    columns = (at >= left[:, None]) & (at < right[:, None])
    # Products with 0 and 1 are several times faster than tf.where. A last axis of three is slow, so it is merged with the columns.
    across = tf.repeat(tf.cast(columns, tf.float32), 3, axis=1)
    box = tf.matmul(tf.cast(rows, tf.float32)[:, :, None], across[:, None, :])
    lines = [tf.reshape(batch, (tf.shape(batch)[0], tf.shape(batch)[1], -1)) for batch in (images, others)]
    return tf.reshape((1 - box) * lines[0] + box * lines[1], tf.shape(images))
