"""RandAugment: a few operations drawn from a list, all of one strength, so that two numbers control how much is done."""

from typing import TYPE_CHECKING, Annotated, get_args

from malaria_exp.components.aug._operations import OperationName, operate
from malaria_exp.components.aug._per_image import Draws
from malaria_exp.config.registry import register
from malaria_exp.config.validation import Probability, Range
from malaria_exp.data.augmentation_chain import Augmentation
from malaria_exp.utils.errors import ConfigError

if TYPE_CHECKING:
    import tensorflow as tf

ALL: list[OperationName] = list(get_args(OperationName))


@register("aug", "rand_augment")
def rand_augment(
    *,
    count: Annotated[int, Range(low=1, high=10)] = 2,
    strength: Probability = 0.3,
    operations: list[OperationName] = ALL,
    p: Probability = 0.75,
) -> Augmentation:
    """Treats each image with operations drawn from a list (Cubuk et al. 2019, arXiv 1909.13719).

    The paper treats every image, p=1; the default costs less time.

    Args:
        count: operations one after the other, N of the paper; one may be drawn twice.
        strength: of all of them, from 0 (no change) to 1; M / 10 of the paper. The direction is random.
        operations: to draw from.
        p: probability that an image is treated.
    """
    if not operations:
        raise ConfigError(f"aug.rand_augment.operations: expected at least one of {', '.join(ALL)}, received [].")

    def augment(images: "tf.Tensor", labels: "tf.Tensor", seed: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        import tensorflow as tf

        draws = Draws(seed, tf.shape(images)[0])
        chosen = draws.happens(p)
        for _ in range(count):
            which = tf.where(chosen, draws.whole(0, len(operations)), len(operations))
            direction = tf.where(draws.happens(0.5), 1.0, -1.0)
            images = operate(images, which, strength * direction, operations)
        return images, labels

    return augment
