"""Stain jitter: more or less of each dye, as slides of other laboratories and days have."""

from typing import TYPE_CHECKING

from malaria_exp.components.aug._colors import keep_black, map_colors, on_colors
from malaria_exp.components.aug._per_image import Draws, treat_some
from malaria_exp.config.registry import register
from malaria_exp.config.validation import Fraction, NonNegative, Probability
from malaria_exp.data.augmentation_chain import Augmentation

if TYPE_CHECKING:
    import tensorflow as tf

# Ruifrok and Johnston 2001: how much red, green and blue the dyes haematoxylin, eosin and DAB absorb. Giemsa is a mixture of eosin with
# methylene blue and its azures, whose blue-violet is close to haematoxylin's.
ABSORBED = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78))
# The darkest value of an 8-bit camera that is not black.
DARKEST = 1 / 255


@register("aug", "stain")
def stain(*, scale: Fraction = 0.1, shift: NonNegative = 0.02, p: Probability = 0.8) -> Augmentation:
    """Changes the amount of each dye in each image: HED jitter (Tellez et al. 2018, doi:10.1109/TMI.2018.2820199).

    Light passes through a stain as exp(-amount * absorbance) (Beer and Lambert), so in the logarithm of the light the dyes add up. There
    each amount is multiplied and shifted. The black outside of the cell stays black.

    Args:
        scale: each dye's amount is multiplied by 1 - this to 1 + this.
        shift: up to this is added or taken away; 1 is an optical density of 1, a tenth of the light at the dye's main color.
        p: probability that an image is treated.
    """

    def augment(images: "tf.Tensor", labels: "tf.Tensor", seed: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        import numpy as np
        import tensorflow as tf

        dyes = np.array(ABSORBED)
        dyes /= np.linalg.norm(dyes, axis=1, keepdims=True)
        to_amounts, to_light = tf.constant(np.linalg.inv(dyes), tf.float32), tf.constant(dyes, tf.float32)
        draws = Draws(seed, tf.shape(images)[0])
        chosen = draws.happens(p)
        scales = tf.stack([draws.uniform(1 - scale, 1 + scale) for _ in dyes], axis=1)
        shifts = tf.stack([draws.uniform(-shift, shift) for _ in dyes], axis=1) * np.log(10)

        def treat(group: "tf.Tensor", at: "tf.Tensor") -> "tf.Tensor":
            # Light to amounts, the scaling, and amounts to light are together one linear map for each image.
            maps = tf.matmul(to_amounts * tf.gather(scales, at)[:, None, :], to_light)
            added = tf.matmul(tf.gather(shifts, at), to_light)
            density = map_colors(tf.math.log(tf.maximum(group, DARKEST)), maps)
            return keep_black(group, tf.exp(density - on_colors(added, group)))

        return treat_some(images, chosen, treat), labels

    return augment
