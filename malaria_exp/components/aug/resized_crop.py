"""Random resized crop: a part of the image, enlarged to the whole."""

from typing import TYPE_CHECKING, Annotated

from malaria_exp.components.aug._geometry import crop, draw_sides
from malaria_exp.components.aug._per_image import Draws, treat_some
from malaria_exp.config.registry import register
from malaria_exp.config.validation import Probability, Range
from malaria_exp.data.augmentation_chain import Augmentation

if TYPE_CHECKING:
    import tensorflow as tf


@register("aug", "resized_crop")
def resized_crop(
    *,
    min_area: Annotated[float, Range(above=0, high=1)] = 0.6,
    ratio: Annotated[float, Range(low=1, high=100)] = 1.2,
    p: Probability = 0.8,
) -> Augmentation:
    """Cuts a part out of each image and enlarges it to the whole (Szegedy et al. 2014, arXiv 1409.4842).

    A parasite may lie in what is cut off while the label stays: parts much smaller than the default make wrong labels.

    Args:
        min_area: the part's area is uniformly distributed from this fraction of the image's area to all of it.
        ratio: the part's width over its height is 1 / this to this.
        p: probability that an image is treated.
    """

    def augment(images: "tf.Tensor", labels: "tf.Tensor", seed: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        import tensorflow as tf

        draws = Draws(seed, tf.shape(images)[0])
        chosen = draws.happens(p)
        heights, widths = draw_sides(draws, min_area, 1.0, ratio)
        # Where the part's first column and row are, 0 being the image's first and 1 its last.
        left, top = (1 - widths) * draws.uniform(), (1 - heights) * draws.uniform()

        def treat(group: "tf.Tensor", at: "tf.Tensor") -> "tf.Tensor":
            first, width, down, height = (tf.gather(numbers, at) for numbers in (left, widths, top, heights))
            return crop(group, tf.range(tf.shape(at)[0]), first, first + width, down, down + height)

        return treat_some(images, chosen, treat), labels

    return augment
