"""The layer of vit that tells the positions of patches apart."""

import keras


@keras.saving.register_keras_serializable(package="malaria_exp")
class PositionEmbedding(keras.layers.Layer):
    """Adds a learned vector to each position: tokens (B, n, width) to (B, n, width); n is fixed once it is built.

    Dosovitskiy et al. 2020, arXiv 2010.11929, section 3.1: one-dimensional, initialized with a standard deviation of 0.02.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the vectors (1, n, width)."""
        self.embedding = self.add_weight(
            shape=(1, *input_shape[1:]), initializer=keras.initializers.RandomNormal(stddev=0.02), name="embedding"
        )

    def call(self, tokens: "keras.KerasTensor") -> "keras.KerasTensor":
        """Returns the tokens with their positions added."""
        return tokens + self.embedding
