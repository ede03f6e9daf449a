"""Color jitter: brightness, contrast, saturation and hue, as lamps, cameras and white balances differ."""

import math
from typing import TYPE_CHECKING, Annotated

from malaria_exp.components.aug._draws import Draws
from malaria_exp.components.aug._groups import cell_pixels, keep_black, over_pixels, treat_some
from malaria_exp.config.registry import register
from malaria_exp.config.validation import Probability, Range
from malaria_exp.data.augmentation_chain import Augmentation

if TYPE_CHECKING:
    import tensorflow as tf

# Rec. 601: what the eye makes of red, green and blue; and the two axes of color beside it (YIQ), in which hue is an angle.
TO_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


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

    All four are one linear map of a pixel's color, so they cost as much as one. The black outside of the cell stays black.

    Args:
        brightness: pixels are multiplied by 1 - this to 1 + this.
        contrast: distances from the cell's mean gray are multiplied by 1 - this to 1 + this.
        saturation: distances from a pixel's own gray are multiplied by 1 - this to 1 + this.
        hue: colors are turned by up to this part of the circle, either way.
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
            # Gray stays gray under saturation and hue, so the part of contrast that does not depend on the pixel is a number.
            constant = (1 - c) * b * mean_gray(group)
            return keep_black(group, map_colors(group, linear) + constant[:, None, None, None])

        return treat_some(images, chosen, treat), labels

    return augment


def color_map(saturation: "tf.Tensor", angle: "tf.Tensor") -> "tf.Tensor":
    """Returns the maps, float32 (n, 3, 3), pixel @ map, that multiply saturation and turn the hue, (n,) and (n,) in radians."""
    import numpy as np
    import tensorflow as tf

    to_yiq = np.array(TO_YIQ)
    to_rgb = np.linalg.inv(to_yiq)
    # In YIQ both are a turn and a stretch of the plane of the colors; the gray axis is left alone.
    gray = to_yiq.T @ np.diag([1.0, 0, 0]) @ to_rgb.T
    same = to_yiq.T @ np.diag([0, 1.0, 1.0]) @ to_rgb.T
    quarter = to_yiq.T @ np.array([[0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]]) @ to_rgb.T
    gray, same, quarter = (tf.constant(part, tf.float32) for part in (gray, same, quarter))
    along, across = (saturation * way(angle) for way in (tf.cos, tf.sin))
    return gray + along[:, None, None] * same + across[:, None, None] * quarter


def map_colors(images: "tf.Tensor", maps: "tf.Tensor") -> "tf.Tensor":
    """Returns images (n, H, W, 3) with each pixel multiplied by its image's map (n, 3, 3)."""
    import tensorflow as tf

    shape = tf.shape(images)
    pixels = tf.reshape(images, (shape[0], shape[1] * shape[2], 3))
    return tf.reshape(tf.matmul(pixels, maps), shape)


def mean_gray(images: "tf.Tensor") -> "tf.Tensor":
    """Returns the mean gray of each image's cell, the black around it left out, float32 (n,)."""
    import tensorflow as tf

    return tf.linalg.matvec(over_pixels(tf.reduce_sum, images), tf.constant(TO_YIQ[0])) / cell_pixels(images)
