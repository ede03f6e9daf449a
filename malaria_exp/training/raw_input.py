"""The run's resize rule and scaling as a Keras layer, so that a saved model takes images of any size. It imports Keras: import it late."""

from typing import Any

import keras
import tensorflow as tf

from malaria_exp.data.resize import ResizeRule
from malaria_exp.data.seeds import to_unit


@keras.saving.register_keras_serializable(package="malaria_exp")
class PrepareImages(keras.layers.Layer):
    """Resizes and scales images as the run did: uint8 (B, H, W, 3) of any H and W to float32 (B, size, size, 3) in [0, 1].

    It repeats the arithmetic of `malaria_exp.data.resize.resize`, including the rounding to whole pixel values. It computes on the CPU:
    a GPU may multiply matrices in fewer bits than float32 has and would then round some pixels differently.

    Args:
        size: edge of the result in pixels.
        mode: "pad" or "stretch".
        version: of the resize rule's definition.
        **kwargs: of any Keras layer.
    """

    def __init__(self, size: int, mode: str, version: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs | {"dtype": "float32"})
        if mode not in ("pad", "stretch") or version != ResizeRule(1, "pad").version:
            raise ValueError(f"Expected a resize rule of this version of malaria_exp. Received: mode={mode!r}, version={version!r}")
        self.size, self.mode, self.version = size, mode, version

    def call(self, images: Any) -> Any:
        """Returns the images as the model takes them."""
        with tf.device("CPU:0"):
            shape = tf.shape(images)
            height, width = shape[1], shape[2]
            if self.mode == "pad":
                edge = tf.maximum(height, width)
                rows, columns = self._weights_of_padded(height, edge), self._weights_of_padded(width, edge)
            else:
                rows, columns = self._weights(height), self._weights(width)
            pixels = tf.einsum("yh,bhwc->bywc", rows, tf.cast(images, tf.float32))
            pixels = tf.round(tf.einsum("xw,bywc->byxc", columns, pixels))
            return to_unit(tf.ensure_shape(pixels, (None, self.size, self.size, 3)))

    def _weights_of_padded(self, length: Any, edge: Any) -> Any:
        """Returns the weights of an axis that is centered on a longer black one; black pixels add nothing, so they have no weights."""
        before = (edge - length) // 2
        return self._weights(edge)[:, before : before + length]

    def _weights(self, length: Any) -> Any:
        """Returns how much each of `length` pixels counts in each new one, float32 (size, length): `_weights` of malaria_exp.data.resize.

        In whole numbers up to the one division: exact wherever the model runs, and on-device runtimes have no float64.
        """
        size = self.size
        pixels, places = tf.range(length), tf.range(size)[:, None]
        # In units of 1 / size: how long a new pixel and an old one lie over each other.
        covered = tf.minimum((places + 1) * length, (pixels + 1) * size) - tf.maximum(places * length, pixels * size)
        # In units of 1 / (2 size): how far their centers are apart.
        centers = tf.clip_by_value((2 * places + 1) * length - size, 0, 2 * size * (length - 1))
        near = 2 * size - tf.abs(centers - 2 * size * pixels)
        parts, whole = tf.where(size < length, covered, near), tf.where(size < length, length, 2 * size)
        return tf.cast(tf.maximum(parts, 0), tf.float32) / tf.cast(whole, tf.float32)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns (B, size, size, 3)."""
        return (input_shape[0], self.size, self.size, 3)

    def get_config(self) -> dict[str, Any]:
        """Returns what rebuilds the layer."""
        return super().get_config() | {"size": self.size, "mode": self.mode, "version": self.version}


def with_raw_input(model: "keras.Model", rule: ResizeRule) -> "keras.Model":
    """Returns a model of the same weights that takes images of any size, uint8 (B, H, W, 3), and prepares them itself.

    Args:
        model: takes float32 (B, size, size, 3) in [0, 1].
        rule: how the run's images were resized; its size is that of the model.
    """
    images = keras.Input((None, None, 3), dtype="uint8", name="images")
    prepared = PrepareImages(**rule.to_dict(), name="prepare_images")(images)
    return keras.Model(images, model(prepared), name=model.name)
