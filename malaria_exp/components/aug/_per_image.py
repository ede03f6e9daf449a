"""Treating each image of a batch in its own way: random numbers for each image, and images that share a treatment taken together."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

# images (n, H, W, 3) and their positions in the batch, int32 (n,) -> images of the same shape.
Treatment = Callable[["tf.Tensor", "tf.Tensor"], "tf.Tensor"]


class Draws:
    """Random numbers, one for each image of a batch. They depend on nothing but the seed and on how many calls came before.

    Args:
        seed: of the batch, int32 (2,).
        count: number of images, int32 ().
    """

    def __init__(self, seed: "tf.Tensor", count: "tf.Tensor") -> None:
        self.count, self._seed, self._stream = count, seed, 0

    def next_seed(self) -> "tf.Tensor":
        """Returns a new seed, int32 (2,)."""
        import tensorflow as tf

        self._stream += 1
        return tf.random.fold_in(self._seed, self._stream)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> "tf.Tensor":
        """Returns numbers of the uniform distribution over [low, high), float32 (B,)."""
        import tensorflow as tf

        return low + (high - low) * tf.random.stateless_uniform((self.count,), self.next_seed())

    def log_uniform(self, low: float, high: float) -> "tf.Tensor":
        """Returns numbers over [low, high) whose logarithms are uniformly distributed, float32 (B,)."""
        import tensorflow as tf

        return tf.exp(self.uniform(math.log(low), math.log(high)))

    def whole(self, low: int, high: int) -> "tf.Tensor":
        """Returns whole numbers from low to high - 1, all equally probable, int32 (B,)."""
        import tensorflow as tf

        return tf.random.stateless_uniform((self.count,), self.next_seed(), low, high, tf.int32)

    def happens(self, p: float) -> "tf.Tensor":
        """Returns True with probability p, bool (B,); never for 0, always for 1."""
        return self.uniform() < p

    def beta(self, alpha: float, beta: float) -> "tf.Tensor":
        """Returns numbers of the Beta distribution, float32 (B,)."""
        import tensorflow as tf

        return tf.sigmoid(self._log_gamma(alpha) - self._log_gamma(beta))

    def dirichlet(self, alpha: float, width: int) -> "tf.Tensor":
        """Returns weights of the symmetric Dirichlet distribution, float32 (B, width); each row sums to 1."""
        import tensorflow as tf

        return tf.nn.softmax(tf.stack([self._log_gamma(alpha) for _ in range(width)], axis=1))

    def _log_gamma(self, alpha: float) -> "tf.Tensor":
        """Returns logarithms of numbers of the Gamma distribution, as the numbers themselves underflow for a small alpha."""
        import tensorflow as tf

        # Marsaglia and Tsang 2000: G(alpha) = G(alpha + 1) U^(1 / alpha).
        larger = tf.random.stateless_gamma((self.count,), self.next_seed(), alpha + 1)
        smallest = 1e-30
        return tf.math.log(larger) + tf.math.log(self.uniform(smallest, 1.0)) / alpha


def treat_groups(images: "tf.Tensor", which: "tf.Tensor", treatments: Sequence[Treatment | None]) -> "tf.Tensor":
    """Treats each image by the treatment of its number.

    The images that share a treatment are treated together: several times faster than treating all images in every way and choosing.

    Args:
        images: float32 (B, H, W, 3).
        which: int32 (B,), numbers of treatments.
        treatments: by number; None leaves an image as it is, bit for bit. Each must accept a group of no images.
    """
    import tensorflow as tf

    shape = tf.shape(images)
    positions = tf.dynamic_partition(tf.range(shape[0]), which, len(treatments))
    groups = tf.dynamic_partition(images, which, len(treatments))
    treated = [
        group if treatment is None else treatment(group, at) for treatment, group, at in zip(treatments, groups, positions, strict=True)
    ]
    return tf.reshape(tf.dynamic_stitch(positions, treated), shape)


def treat_some(images: "tf.Tensor", chosen: "tf.Tensor", treatment: Treatment) -> "tf.Tensor":
    """Treats the chosen images, bool (B,), and leaves the others as they are, bit for bit."""
    import tensorflow as tf

    return treat_groups(images, tf.cast(chosen, tf.int32), [None, treatment])
