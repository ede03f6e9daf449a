"""The layer of lenet_layer: LeNet's two convolutions as one layer."""

from typing import Any

import keras
from keras import layers


@keras.saving.register_keras_serializable(package="malaria_exp")
class LeNetFeatures(layers.Layer):
    """LeNet's feature extractor: images (B, H, W, 3) to features (B, h, w, filters_2); two unpadded convolutions, each pooled by 2.

    Args:
        filters: filters of the first convolution.
        filters_2: filters of the second convolution.
        kernel_size: edge of both convolutions' kernels in pixels.
        dropout: fraction of the features dropped between the two.
        l2: L2 penalty on both kernels.
        momentum: of the batch normalizations' running statistics.
        **kwargs: of any Keras layer, such as its name.
    """

    def __init__(self, filters: int, filters_2: int, kernel_size: int, dropout: float, l2: float, momentum: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters, self.filters_2, self.kernel_size = filters, filters_2, kernel_size
        self.dropout, self.l2, self.momentum = dropout, l2, momentum
        regularizer = keras.regularizers.L2(l2) if l2 else None
        # Inner layers compute in the precision of this one, also when it is loaded where another policy is set.
        own = {"dtype": self.dtype_policy}
        self.steps = [
            layers.Conv2D(filters, kernel_size, activation="relu", kernel_regularizer=regularizer, **own),
            layers.BatchNormalization(momentum=momentum, **own),
            layers.MaxPooling2D(2, **own),
            layers.Dropout(dropout, **own),
            layers.Conv2D(filters_2, kernel_size, activation="relu", kernel_regularizer=regularizer, **own),
            layers.BatchNormalization(momentum=momentum, **own),
            layers.MaxPooling2D(2, **own),
        ]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weights of the inner layers for images of this shape, (B, H, W, 3)."""
        for step in self.steps:
            step.build(input_shape)
            input_shape = step.compute_output_shape(input_shape)

    def call(self, images: "keras.KerasTensor", training: bool | None = None) -> "keras.KerasTensor":
        """Returns the features; `training` turns on dropout and the batch's own statistics."""
        x = images
        for step in self.steps:
            x = step(x, training=training)
        return x

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that make the same layer."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "filters_2": self.filters_2,
            "kernel_size": self.kernel_size,
            "dropout": self.dropout,
            "l2": self.l2,
            "momentum": self.momentum,
        }
