"""Color jitter: brightness, contrast, saturation and hue, which differ between lamps, cameras and white balances."""

import math
from typing import TYPE_CHECKING, Annotated

from malaria_exp.components.aug._colors import color_map, keep_black, map_colors, mean_gray
from malaria_exp.components.aug._per_image import Draws, treat_some
from malaria_exp.config.registry import register
from malaria_exp.config.validation import Probability, Range
from malaria_exp.data.augmentation_chain import Augmentation

if TYPE_CHECKING:
    import tensorflow as tf


@register("aug", "color")
def color(
    *,
    brightness: Annotated[float, Range(low=0, high=1)] = 0.2,
    contrast: Annotated[float, Range(low=0, high=1)] = 0.2,
    saturation: Annotated[float, Range(low=0, high=1)] = 0.2,
    hue: Annotated[float, Range(low=0, high=0.5)] = 0.02,
    p: Probability = 0.8,
) -> Augmentation:
    """Changes each image's brightness, contrast, saturation and hue.

    All four are one linear map of a pixel's color, so they cost as much as one of them. The black outside of the cell stays black.

    Args:
        brightness: pixels are multiplied by 1 - this to 1 + this.
        contrast: distances from the cell's mean gray are multiplied by 1 - this to 1 + this.
        saturation: distances from a pixel's own gray are multiplied by 1 - this to 1 + this.
        hue: colors are rotated by up to this fraction of the circle, either way.
        p: probability that an image is treated.
    """

    def augment(images: "tf.Tensor", labels: "tf.Tensor", seed: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        import tensorflow as tf

        draws = Draws(seed, tf.shape(images)[0])
        chosen = draws.happens(p)
        light, spread, vividness = (draws.uniform(1 - by, 1 + by) for by in (brightness, contrast, saturation))
        turn = draws.uniform(-hue, hue) * (2 * math.pi)

        def treat(group: "tf.Tensor", at: "tf.Tensor") -> "tf.Tensor":
            b, c, s, angle = (tf.gather(numbers, at) for numbers in (light, spread, vividness, turn))
            linear = (b * c)[:, None, None] * color_map(s, angle)
            # Saturation and hue leave gray as it is, so what contrast adds to all pixels is one number for each image.
            constant = (1 - c) * b * mean_gray(group)
            return keep_black(group, map_colors(group, linear) + constant[:, None, None, None])

        return treat_some(images, chosen, treat), labels

    return augment
