"""The class of lenet_subclassed: LeNet as a keras.Model. Imports Keras, so it is imported by the builder alone."""

from typing import Any

import keras
from keras import layers


@keras.saving.register_keras_serializable(package="malaria_exp")
class LeNet(keras.Model):
    """LeNet: images (B, image_size, image_size, 3) in [0, 1] to logits (B, 1), float32.

    Args:
        image_size: edge of the input in pixels.
        filters: filters of the first convolution.
        filters_2: filters of the second convolution.
        kernel_size: edge of both convolutions' kernels in pixels.
        units: width of the first dense layer.
        units_2: width of the second dense layer.
        dropout: share of the units dropped after the first convolution and the first dense layer.
        l2: L2 penalty on the kernels, before the last layer.
        momentum: of the batch normalizations' running statistics.
        **kwargs: of any Keras model, such as its name.
    """

    def __init__(
        self,
        image_size: int,
        filters: int,
        filters_2: int,
        kernel_size: int,
        units: int,
        units_2: int,
        dropout: float,
        l2: float,
        momentum: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.image_size, self.filters, self.filters_2, self.kernel_size = image_size, filters, filters_2, kernel_size
        self.units, self.units_2, self.dropout, self.l2, self.momentum = units, units_2, dropout, l2, momentum
        regularizer = keras.regularizers.L2(l2) if l2 else None
        # The layers inside compute in the precision of the model, also when it is loaded where another is set.
        own = {"dtype": self.dtype_policy}
        self.conv_1 = layers.Conv2D(filters, kernel_size, activation="relu", kernel_regularizer=regularizer, **own)
        self.norm_1 = layers.BatchNormalization(momentum=momentum, **own)
        self.pool_1 = layers.MaxPooling2D(2, **own)
        self.dropout_1 = layers.Dropout(dropout, **own)
        self.conv_2 = layers.Conv2D(filters_2, kernel_size, activation="relu", kernel_regularizer=regularizer, **own)
        self.norm_2 = layers.BatchNormalization(momentum=momentum, **own)
        self.pool_2 = layers.MaxPooling2D(2, **own)
        self.flatten = layers.Flatten(**own)
        self.dense_1 = layers.Dense(units, activation="relu", kernel_regularizer=regularizer, **own)
        self.norm_3 = layers.BatchNormalization(momentum=momentum, **own)
        self.dropout_2 = layers.Dropout(dropout, **own)
        self.dense_2 = layers.Dense(units_2, activation="relu", kernel_regularizer=regularizer, **own)
        self.norm_4 = layers.BatchNormalization(momentum=momentum, **own)
        self.logit = layers.Dense(1, dtype="float32", name="logit")

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of the images, (None, image_size, image_size, 3); Keras knows it by itself for other models only."""
        return (None, self.image_size, self.image_size, 3)

    def call(self, images: "keras.KerasTensor", training: bool | None = None) -> "keras.KerasTensor":
        """Returns the logits; `training` turns on dropout and the batch's own statistics."""
        x = self.pool_1(self.norm_1(self.conv_1(images), training=training))
        x = self.dropout_1(x, training=training)
        x = self.pool_2(self.norm_2(self.conv_2(x), training=training))
        x = self.norm_3(self.dense_1(self.flatten(x)), training=training)
        x = self.dropout_2(x, training=training)
        x = self.norm_4(self.dense_2(x), training=training)
        return self.logit(x)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that make the same model."""
        return {
            **super().get_config(),
            "image_size": self.image_size,
            "filters": self.filters,
            "filters_2": self.filters_2,
            "kernel_size": self.kernel_size,
            "units": self.units,
            "units_2": self.units_2,
            "dropout": self.dropout,
            "l2": self.l2,
            "momentum": self.momentum,
        }
