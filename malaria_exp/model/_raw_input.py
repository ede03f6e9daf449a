"""The run's resize rule and scaling as a Keras layer, so that a saved net takes photographs as they are. Imports Keras: import it late."""

from typing import Any

import keras
import tensorflow as tf

from malaria_exp.batches import to_unit
from malaria_exp.images import ResizeRule


@keras.saving.register_keras_serializable(package="malaria_exp")
class PrepareImages(keras.layers.Layer):
    """Resizes and scales as the run did: uint8 (B, H, W, 3) of any H and W to float32 (B, size, size, 3) in [0, 1].

    The arithmetic of `malaria_exp.images.resize`, rounding to whole pixel values included. It sums in float64: a GPU may
    multiply float32 matrices in fewer bits, and would then round other pixels up than the run did.

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
        """Returns the images as the net takes them."""
        shape = tf.shape(images)
        height, width = shape[1], shape[2]
        if self.mode == "pad":
            edge = tf.maximum(height, width)
            rows, columns = self._weights_of_padded(height, edge), self._weights_of_padded(width, edge)
        else:
            rows, columns = self._weights(height), self._weights(width)
        pixels = tf.einsum("yh,bhwc->bywc", rows, tf.cast(images, tf.float64))
        resized = tf.ensure_shape(tf.einsum("xw,bywc->byxc", columns, pixels), (None, self.size, self.size, 3))
        return to_unit(tf.round(resized))

    def _weights_of_padded(self, length: Any, edge: Any) -> Any:
        """Returns the weights of an axis that lies centred on a black one: black pixels add nothing, so theirs are left out."""
        before = (edge - length) // 2
        return self._weights(edge)[:, before : before + length]

    def _weights(self, length: Any) -> Any:
        """Returns how much each of `length` pixels counts in each new one, float64 (size, length); see images.resize."""
        pixels = tf.range(tf.cast(length, tf.float64), dtype=tf.float64)
        scale = tf.cast(length, tf.float64) / self.size
        new = tf.range(self.size, dtype=tf.float64)[:, None]
        # Where the picture shrinks: the part of each pixel that a new one covers. Where it grows: nearness of centres.
        covered = tf.minimum((new + 1) * scale, pixels + 1) - tf.maximum(new * scale, pixels)
        centres = tf.clip_by_value((new + 0.5) * scale - 0.5, 0, tf.cast(length, tf.float64) - 1)
        return tf.maximum(tf.where(self.size < length, covered / scale, 1 - tf.abs(centres - pixels)), 0)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns (B, size, size, 3)."""
        return (input_shape[0], self.size, self.size, 3)

    def get_config(self) -> dict[str, Any]:
        """Returns what rebuilds the layer."""
        return super().get_config() | {"size": self.size, "mode": self.mode, "version": self.version}


def with_raw_input(net: "keras.Model", rule: ResizeRule) -> "keras.Model":
    """Returns a model of the same weights that takes images of any size, uint8 (B, H, W, 3), and prepares them itself.

    Args:
        net: takes float32 (B, size, size, 3) in [0, 1].
        rule: how the run's images were resized; its size is that of the net.
    """
    images = keras.Input((None, None, 3), dtype="uint8", name="images")
    prepared = PrepareImages(**rule.to_dict(), name="prepare_images")(images)
    return keras.Model(images, net(prepared), name=net.name)
