"""AugMix: several chains of operations on one image, averaged, and averaged with the image itself."""

from typing import TYPE_CHECKING, Annotated

from malaria_exp.components.aug._colors import on_images
from malaria_exp.components.aug._operations import OperationName, operate
from malaria_exp.components.aug._per_image import Draws, treat_some
from malaria_exp.config.registry import register
from malaria_exp.config.validation import Positive, Probability, Range
from malaria_exp.data.augmentation_chain import Augmentation
from malaria_exp.utils.errors import ConfigError

if TYPE_CHECKING:
    import tensorflow as tf

# Those of the paper, which excludes brightness, contrast, saturation and sharpness because its robustness tests contain them.
IN_PAPER: list[OperationName] = [
    "autocontrast",
    "equalize",
    "posterize",
    "rotate",
    "solarize",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
]


@register("aug", "augmix")
def augmix(
    *,
    width: Annotated[int, Range(low=1, high=10)] = 2,
    depth: Annotated[int, Range(low=1, high=10)] = 2,
    strength: Probability = 0.3,
    alpha: Positive = 1.0,
    operations: list[OperationName] = IN_PAPER,
    p: Probability = 0.3,
) -> Augmentation:
    """Averages differently treated versions of each image (Hendrycks et al. 2019, arXiv 1912.02781; without its consistency loss).

    The paper has width 3, depth 3 and p 1; the defaults take a quarter of the time.

    Args:
        width: number of chains.
        depth: a chain has 1 to depth operations, all numbers equally probable.
        strength: each operation's strength is uniformly distributed from 0 to this; 1 is the strongest, 10 of the paper's severity.
        alpha: the chains' weights are drawn from Dirichlet(alpha), the fraction of their average from Beta(alpha, alpha).
        operations: to draw from; the default is the paper's.
        p: probability that an image is treated.
    """
    if not operations:
        raise ConfigError("aug.augmix.operations: expected at least one operation, received []. See: task=list task.show=aug/augmix")

    def augment(images: "tf.Tensor", labels: "tf.Tensor", seed: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        import tensorflow as tf

        draws = Draws(tf.random.fold_in(seed, 0), tf.shape(images)[0])
        chosen, chain_weights, fractions = draws.happens(p), draws.dirichlet(alpha, width), draws.beta(alpha, alpha)
        chains = [_draw_chain(draws, depth, strength, len(operations)) for _ in range(width)]

        def treat(group: "tf.Tensor", at: "tf.Tensor") -> "tf.Tensor":
            fraction, weights = tf.gather(fractions, at), tf.gather(chain_weights, at)
            result = on_images(1 - fraction) * group
            for chain, steps in enumerate(chains):
                treated = group
                for which, strengths in steps:
                    treated = operate(treated, tf.gather(which, at), tf.gather(strengths, at), operations)
                result += on_images(fraction * weights[:, chain]) * treated
            # Rounding may make the sum a little more than 1.
            return tf.minimum(result, 1.0)

        return treat_some(images, chosen, treat), labels

    return augment


def _draw_chain(draws: Draws, depth: int, strength: float, count: int) -> list[tuple["tf.Tensor", "tf.Tensor"]]:
    """Returns for each step of a chain the operations' numbers below `count`, or `count` after the chain's end, and the strengths."""
    import tensorflow as tf

    length = draws.whole(1, depth + 1)
    return [(tf.where(step < length, draws.whole(0, count), count), draws.uniform(-strength, strength)) for step in range(depth)]
