"""A Keras layer of this project: it rotates each image by a random multiple of 90 degrees."""

from typing import TYPE_CHECKING, Any

import keras

from malaria_exp.components.aug._geometry import quarter_turned

if TYPE_CHECKING:
    import tensorflow as tf


@keras.saving.register_keras_serializable("malaria_exp")
class RandomRot90(keras.layers.Layer):
    """Rotates each image by 0, 90, 180 or 270 degrees, all equally probable; only in training.

    Like Keras' own preprocessing layers it draws in one method and transforms in another, so that they can be called separately.

    Args:
        seed: of the random numbers, when the layer is part of a model.
        **options: of every Keras layer.
    """

    def __init__(self, seed: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, images: "tf.Tensor", training: bool | None = None) -> "tf.Tensor":
        """Returns images (B, H, H, C), rotated if `training`."""
        if not training:
            return images
        return self.transform_images(images, self.get_random_transformation(images))

    def get_random_transformation(
        self,
        images: "tf.Tensor",
        training: bool = True,
        seed: keras.random.SeedGenerator | None = None,
    ) -> "tf.Tensor":
        """Returns the number of quarter turns of each image, int32 (B,)."""
        count = keras.ops.shape(images)[0]
        return keras.random.randint((count,), 0, 4, seed=self.generator if seed is None else seed)

    def transform_images(self, images: "tf.Tensor", turns: "tf.Tensor", training: bool = True) -> "tf.Tensor":
        """Returns the images, each rotated by its number of quarter turns."""
        return quarter_turned(images, turns)

    def get_config(self) -> dict[str, Any]:
        """Returns what rebuilds the layer."""
        return {**super().get_config(), "seed": self.seed}
