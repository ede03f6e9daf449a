"""The layer of transfer that scales the input of a backbone."""

from typing import Any

import keras
from keras import ops

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@keras.saving.register_keras_serializable(package="malaria_exp")
class BackboneScaling(keras.layers.Layer):
    """Brings images (B, H, W, 3) in [0, 1], RGB, to what the models of keras.applications were trained on; in float32.

    Args:
        mode: "tf": [-1, 1]; "torch": ImageNet's mean and deviation taken out; "caffe": BGR in [0, 255] less ImageNet's mean;
            "raw": [0, 255], for models that scale inside; "efficientnet": as "raw", with the division that Keras adds inside these
            models for ImageNet weights only, so that a model computes the same with weights from anywhere.
        **kwargs: of any Keras layer.
    """

    def __init__(self, mode: str, **kwargs: Any) -> None:
        super().__init__(**kwargs | {"dtype": "float32"})
        self.mode = mode

    def call(self, images: Any) -> Any:
        """Returns the scaled images, float32."""
        if self.mode == "tf":
            return images * 2.0 - 1.0
        if self.mode == "torch":
            return (images - ops.array(MEAN)) / ops.array(DEVIATION)
        if self.mode == "caffe":
            return ops.flip(images * 255.0, axis=-1) - ops.array((103.939, 116.779, 123.68))
        if self.mode == "efficientnet":
            # Inside, the model computes (y / 255 - MEAN) / DEVIATION; with ImageNet weights Keras divides by sqrt(DEVIATION) once more.
            factor = 1.0 / ops.sqrt(ops.array(DEVIATION))
            return 255.0 * (factor * images + ops.array(MEAN) * (1.0 - factor))
        return images * 255.0

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns what rebuilds the layer."""
        return super().get_config() | {"mode": self.mode}
