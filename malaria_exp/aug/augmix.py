"""AugMix: several chains of operations on one image, averaged, and averaged with the image itself."""

from typing import TYPE_CHECKING

from malaria_exp.aug._draws import Draws
from malaria_exp.aug._groups import on_images, treat_some
from malaria_exp.aug._operations import operate
from malaria_exp.aug.rand_augment import OperationName
from malaria_exp.augmenting import Augmentation
from malaria_exp.errors import ConfigError
from malaria_exp.registry import register
from malaria_exp.schema import Positive, PositiveInt, Probability

if TYPE_CHECKING:
    import tensorflow as tf

# Those of the paper: brightness, contrast, saturation and sharpness are left out, as they were among its tests.
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
    width: PositiveInt = 2,
    depth: PositiveInt = 2,
    strength: Probability = 0.3,
    alpha: Positive = 1.0,
    operations: list[OperationName] = IN_PAPER,
    p: Probability = 0.5,
) -> Augmentation:
    """Averages differently treated versions of each image (Hendrycks et al. 2019, arXiv 1912.02781; without its consistency loss).

    The paper has width 3, depth 3 and p 1, for four times the time: the defaults are such that training hardly waits for it.

    Args:
        width: number of chains.
        depth: a chain has 1 to so many operations, each number as often.
        strength: each operation's strength is evenly spread from nothing to this; 1 is the strongest. A tenth of the paper's severity.
        alpha: the chains' weights are drawn from Dirichlet(alpha), the share of their average from Beta(alpha, alpha).
        operations: to draw from; the default is the paper's.
        p: probability that an image is treated.
    """
    if not operations:
        raise ConfigError("aug.augmix.operations: expected at least one operation, received []. See: task=list task.show=aug/augmix")

    def augment(images: "tf.Tensor", labels: "tf.Tensor", seed: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        import tensorflow as tf

        everyone = Draws(tf.random.fold_in(seed, 0), tf.shape(images)[0])

        def treat(group: "tf.Tensor", at: "tf.Tensor") -> "tf.Tensor":
            weights, share = tf.gather(chain_weights, at), tf.gather(shares, at)
            average = tf.zeros_like(group)
            for chain, steps in enumerate(chains):
                treated = group
                for which, strengths in steps:
                    treated = operate(treated, tf.gather(which, at), tf.gather(strengths, at), operations)
                average += on_images(weights[:, chain]) * treated
            return group + on_images(share) * (average - group)

        chosen = everyone.happens(p)
        chain_weights, shares = everyone.dirichlet(alpha, width), everyone.beta(alpha, alpha)
        chains = []
        for _ in range(width):
            length = everyone.whole(1, depth + 1)
            chains.append(
                [
                    (
                        tf.where(number < length, everyone.whole(0, len(operations)), len(operations)),
                        everyone.uniform(-strength, strength),
                    )
                    for number in range(depth)
                ]
            )
        return treat_some(images, chosen, treat), labels

    return augment
