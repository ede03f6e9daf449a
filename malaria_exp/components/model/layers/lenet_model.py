"""The class of lenet_subclassed: LeNet as a keras.Model."""

from typing import Any

import keras
from keras import layers

from malaria_exp.components.model._lenet_parameters import LeNetParameters


@keras.saving.register_keras_serializable(package="malaria_exp")
class LeNet(keras.Model):
    """LeNet: images (B, image_size, image_size, 3) in [0, 1] to logits (B, 1), float32.

    Args:
        name: of the model.
        trainable: whether its weights are trained.
        dtype: the precision its layers but the last compute in; None for the global one.
        **parameters: see LeNetParameters.
    """

    def __init__(self, *, name: str | None = None, trainable: bool = True, dtype: Any = None, **parameters: Any) -> None:
        super().__init__(name=name, trainable=trainable, dtype=dtype)
        self.parameters = p = LeNetParameters(**parameters)
        penalty = p.penalty()
        # Inner layers compute in the precision of the model, also when it is loaded where another policy is set.
        own = {"dtype": self.dtype_policy}
        self.conv_1 = layers.Conv2D(p.filters, p.kernel_size, activation="relu", kernel_regularizer=penalty, **own)
        self.norm_1 = layers.BatchNormalization(momentum=p.momentum, **own)
        self.pool_1 = layers.MaxPooling2D(2, **own)
        self.dropout_1 = layers.Dropout(p.dropout, **own)
        self.conv_2 = layers.Conv2D(p.filters_2, p.kernel_size, activation="relu", kernel_regularizer=penalty, **own)
        self.norm_2 = layers.BatchNormalization(momentum=p.momentum, **own)
        self.pool_2 = layers.MaxPooling2D(2, **own)
        self.flatten = layers.Flatten(**own)
        self.dense_1 = layers.Dense(p.units, activation="relu", kernel_regularizer=penalty, **own)
        self.norm_3 = layers.BatchNormalization(momentum=p.momentum, **own)
        self.dropout_2 = layers.Dropout(p.dropout, **own)
        self.dense_2 = layers.Dense(p.units_2, activation="relu", kernel_regularizer=penalty, **own)
        self.norm_4 = layers.BatchNormalization(momentum=p.momentum, **own)
        self.logit = layers.Dense(1, dtype="float32", name="logit")

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of the images, (None, image_size, image_size, 3); Keras does not know it for subclassed models."""
        return (None, self.parameters.image_size, self.parameters.image_size, 3)

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
        return {**super().get_config(), **vars(self.parameters)}
