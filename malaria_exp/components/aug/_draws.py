"""Random numbers for the images of a batch, all of them from the batch's seed."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


class Draws:
    """Streams of random numbers, one number an image; each call is a stream of its own, the same for the same seed and order of calls.

    Args:
        seed: of the batch, int32 (2,).
        count: number of images, int32 ().
    """

    def __init__(self, seed: "tf.Tensor", count: "tf.Tensor") -> None:
        self.count, self._seed, self._stream = count, seed, 0

    def next_seed(self) -> "tf.Tensor":
        """Returns the seed of the next stream, int32 (2,)."""
        import tensorflow as tf

        self._stream += 1
        return tf.random.fold_in(self._seed, self._stream)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> "tf.Tensor":
        """Returns numbers evenly spread over [low, high), float32 (B,)."""
        import tensorflow as tf

        return low + (high - low) * tf.random.stateless_uniform((self.count,), self.next_seed())

    def log_uniform(self, low: float, high: float) -> "tf.Tensor":
        """Returns numbers whose logarithms are evenly spread, float32 (B,)."""
        import tensorflow as tf

        return tf.exp(self.uniform(math.log(low), math.log(high)))

    def whole(self, low: int, high: int) -> "tf.Tensor":
        """Returns whole numbers low to high - 1, each as often, int32 (B,)."""
        import tensorflow as tf

        return tf.random.stateless_uniform((self.count,), self.next_seed(), low, high, tf.int32)

    def happens(self, p: float) -> "tf.Tensor":
        """Returns whether something of probability p happens, bool (B,); never for 0, always for 1."""
        return self.uniform() < p

    def beta(self, alpha: float, beta: float) -> "tf.Tensor":
        """Returns numbers of the Beta distribution, float32 (B,)."""
        import tensorflow as tf

        return tf.sigmoid(self._log_gamma(alpha) - self._log_gamma(beta))

    def dirichlet(self, alpha: float, width: int) -> "tf.Tensor":
        """Returns weights of the symmetric Dirichlet distribution, float32 (B, width), each row's sum 1."""
        import tensorflow as tf

        return tf.nn.softmax(tf.stack([self._log_gamma(alpha) for _ in range(width)], axis=1))

    def _log_gamma(self, alpha: float) -> "tf.Tensor":
        """Returns logarithms of numbers of the Gamma distribution; the numbers themselves underflow for a small alpha."""
        import tensorflow as tf

        # Marsaglia and Tsang 2000: G(alpha) = G(alpha + 1) U^(1 / alpha).
        larger = tf.random.stateless_gamma((self.count,), self.next_seed(), alpha + 1)
        smallest = 1e-30
        return tf.math.log(larger) + tf.math.log(self.uniform(smallest, 1.0)) / alpha
