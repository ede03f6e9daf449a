"""The classes of resnet_subclassed."""

from typing import Any

import keras
from keras import layers

from malaria_exp.components.model._resnet_parameters import RESNET_BLOCKS


@keras.saving.register_keras_serializable(package="malaria_exp")
class ConvNorm(layers.Layer):
    """A padded convolution without bias, then batch normalization: (B, H, W, n) to (B, H / strides, W / strides, filters).

    Args:
        filters: filters of the convolution.
        kernel_size: edge of its kernel in pixels.
        strides: pixels from one position of the kernel to the next.
        momentum: of the batch normalization's running statistics.
        **kwargs: of any Keras layer, such as its name.
    """

    def __init__(self, filters: int, kernel_size: int, strides: int, momentum: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.strides, self.momentum = filters, kernel_size, strides, momentum
        # Here and below: inner layers compute in the precision of the outer one, also when it is loaded where another policy is set.
        own = {"dtype": self.dtype_policy}
        self.conv = layers.Conv2D(
            filters, kernel_size, strides, padding="same", use_bias=False, kernel_initializer="he_normal", name="conv", **own
        )
        self.norm = layers.BatchNormalization(momentum=momentum, name="norm", **own)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weights for inputs of this shape."""
        self.conv.build(input_shape)
        self.norm.build(self.conv.compute_output_shape(input_shape))

    def call(self, x: "keras.KerasTensor", training: bool | None = None) -> "keras.KerasTensor":
        """Returns the normalized responses; `training` takes the batch's own statistics."""
        return self.norm(self.conv(x), training=training)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape of the responses."""
        return self.conv.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that make the same layer."""
        own = {"filters": self.filters, "kernel_size": self.kernel_size, "strides": self.strides, "momentum": self.momentum}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="malaria_exp")
class ResidualBlock(layers.Layer):
    """Two convolutions and the shortcut past them: (B, H, W, n) to (B, H / strides, W / strides, filters).

    Args:
        filters: filters of both convolutions.
        strides: of the first convolution; with 1, n must be `filters`.
        momentum: of the batch normalizations' running statistics.
        **kwargs: of any Keras layer, such as its name.
    """

    def __init__(self, filters: int, strides: int, momentum: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters, self.strides, self.momentum = filters, strides, momentum
        own = {"dtype": self.dtype_policy}
        self.first = ConvNorm(filters, 3, strides, momentum, name="first", **own)
        self.second = ConvNorm(filters, 3, 1, momentum, name="second", **own)
        # The shortcut is the identity where the shapes allow it.
        self.past = ConvNorm(filters, 1, strides, momentum, name="past", **own) if strides > 1 else None

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weights for inputs of this shape."""
        self.first.build(input_shape)
        self.second.build(self.first.compute_output_shape(input_shape))
        if self.past is not None:
            self.past.build(input_shape)

    def call(self, x: "keras.KerasTensor", training: bool | None = None) -> "keras.KerasTensor":
        """Returns relu(convolutions(x) + past(x)); `training` takes the batch's own statistics."""
        second = self.second(keras.ops.relu(self.first(x, training=training)), training=training)
        past = x if self.past is None else self.past(x, training=training)
        return keras.ops.relu(second + past)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that make the same block."""
        return {**super().get_config(), "filters": self.filters, "strides": self.strides, "momentum": self.momentum}


@keras.saving.register_keras_serializable(package="malaria_exp")
class ResNet(keras.Model):
    """ResNet of basic blocks: images (B, image_size, image_size, 3) in [0, 1] to logits (B, 1), float32.

    Args:
        image_size: edge of the input in pixels.
        depth: 18 or 34.
        width: filters of the stem and the first stage.
        stem: "3x3" or "7x7".
        momentum: of the batch normalizations' running statistics.
        **kwargs: of any Keras model, such as its name.
    """

    def __init__(self, image_size: int, depth: int, width: int, stem: str, momentum: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.image_size, self.depth, self.width, self.stem, self.momentum = image_size, depth, width, stem, momentum
        own = {"dtype": self.dtype_policy}
        self.stem_conv = ConvNorm(width, 7 if stem == "7x7" else 3, 2, momentum, name="stem", **own)
        self.stem_pool = layers.MaxPooling2D(3, 2, padding="same", **own) if stem == "7x7" else None
        self.blocks = [
            ResidualBlock(width * 2**stage, 2 if stage and not block else 1, momentum, name=f"stage{stage + 1}_block{block + 1}", **own)
            for stage, blocks in enumerate(RESNET_BLOCKS[depth])
            for block in range(blocks)
        ]
        self.average = layers.GlobalAveragePooling2D(**own)
        self.logit = layers.Dense(1, dtype="float32", name="logit")

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of the images, (None, image_size, image_size, 3); Keras does not know it for subclassed models."""
        return (None, self.image_size, self.image_size, 3)

    def call(self, images: "keras.KerasTensor", training: bool | None = None) -> "keras.KerasTensor":
        """Returns the logits; `training` takes the batch's own statistics."""
        x = keras.ops.relu(self.stem_conv(images, training=training))
        if self.stem_pool is not None:
            x = self.stem_pool(x)
        for block in self.blocks:
            x = block(x, training=training)
        return self.logit(self.average(x))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that make the same model."""
        return {
            **super().get_config(),
            "image_size": self.image_size,
            "depth": self.depth,
            "width": self.width,
            "stem": self.stem,
            "momentum": self.momentum,
        }
