"""Random erasing: a box of the image is painted over, so that the model cannot rely on a single spot."""

from typing import TYPE_CHECKING, Annotated, Literal

from malaria_exp.components.aug._colors import cell_pixels, on_colors, over_pixels
from malaria_exp.components.aug._geometry import draw_sides, paste
from malaria_exp.components.aug._per_image import Draws
from malaria_exp.config.registry import register
from malaria_exp.config.validation import Probability, Range
from malaria_exp.data.augmentation_chain import Augmentation
from malaria_exp.utils.errors import ConfigError

if TYPE_CHECKING:
    import tensorflow as tf


@register("aug", "erasing")
def erasing(
    *,
    min_area: Annotated[float, Range(above=0, high=1)] = 0.02,
    max_area: Annotated[float, Range(above=0, high=1)] = 0.1,
    ratio: Annotated[float, Range(low=1, high=100)] = 3.0,
    fill: Literal["black", "mean", "noise"] = "mean",
    p: Probability = 0.5,
) -> Augmentation:
    """Paints over a box of each image (Zhong et al. 2017, arXiv 1708.04896).

    A parasite may lie below it while the label stays: boxes much larger than the default make wrong labels.

    Args:
        min_area: smallest fraction of the image's area that is painted over.
        max_area: the largest; areas are uniformly distributed between both.
        ratio: the box's width over its height is 1 / this to this.
        fill: black; mean, the mean color of the image's cell; or noise, each pixel drawn from [0, 1].
        p: probability that an image is treated.
    """
    if min_area > max_area:
        raise ConfigError(f"aug.erasing.min_area: received {min_area:g}, more than aug.erasing.max_area={max_area:g}.")

    def augment(images: "tf.Tensor", labels: "tf.Tensor", seed: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        import tensorflow as tf

        draws = Draws(seed, tf.shape(images)[0])
        chosen = draws.happens(p)
        size = tf.shape(images)[1]
        edge = tf.cast(size, tf.float32)
        heights, widths = (tf.maximum(tf.cast(tf.round(side * edge), tf.int32), 1) for side in draw_sides(draws, min_area, max_area, ratio))
        top, left = (tf.cast(draws.uniform() * tf.cast(size - side + 1, tf.float32), tf.int32) for side in (heights, widths))
        paint = tf.zeros((1, 1, tf.shape(images)[2], 3))
        if fill == "mean":
            paint = on_colors(over_pixels(tf.reduce_sum, images) / cell_pixels(images)[:, None], images)
        elif fill == "noise":
            paint = tf.random.stateless_uniform(tf.shape(images), draws.next_seed())
        return paste(images, paint, chosen, top, top + heights, left, left + widths), labels

    return augment
