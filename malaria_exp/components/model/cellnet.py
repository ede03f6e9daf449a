"""cellnet: the project's own small model, made to be trained from scratch on a CPU in about a minute."""

from typing import TYPE_CHECKING, Annotated

from malaria_exp.config.registry import register
from malaria_exp.config.validation import PositiveInt, Range
from malaria_exp.utils.errors import ConfigError

if TYPE_CHECKING:
    import keras


@register("model", "cellnet")
def cellnet(
    *,
    image_size: Annotated[int, Range(low=16, high=1024)] = 48,
    stem: PositiveInt = 24,
    widths: list[PositiveInt] = [32, 64, 128],  # noqa: B006 - never changed, and shown as the default by task=list
    dropout: Annotated[float, Range(low=0, below=1)] = 0.0,
    momentum: Annotated[float, Range(low=0, below=1)] = 0.6,
) -> "keras.Model":
    """Small fast residual network: 0.30M parameters at the default widths.

    A stride-2 stem, then for each width a convolution, a pooling that halves the image and a residual convolution;
    the last layer reads the largest response anywhere, as one parasite anywhere makes a cell positive.

    Args:
        image_size: edge of the input in pixels.
        stem: filters of the 4 x 4, stride-2 stem.
        widths: filters of each stage.
        dropout: fraction of the features dropped before the last layer.
        momentum: of the batch normalizations' running statistics; Keras' own 0.99 needs more steps than a short run has.
    """
    import keras
    from keras import layers

    if image_size < 2 ** (len(widths) + 1):
        raise ConfigError(
            f"model.widths: {len(widths)} stages halve {image_size} pixels to nothing. Use fewer widths,"
            f" or model.image_size of at least {2 ** (len(widths) + 1)}."
        )

    def convolve(x: "keras.KerasTensor", filters: int, kernel: int = 3, strides: int = 1) -> "keras.KerasTensor":
        return layers.Conv2D(filters, kernel, strides, padding="same", use_bias=False, kernel_initializer="he_normal")(x)

    def activate(x: "keras.KerasTensor") -> "keras.KerasTensor":
        return layers.ReLU()(layers.BatchNormalization(momentum=momentum)(x))

    inputs = keras.Input((image_size, image_size, 3))
    x = activate(convolve(inputs, stem, kernel=4, strides=2))
    for width in widths:
        # Pooling before normalization and activation: the same result for a quarter of the work.
        x = activate(layers.MaxPooling2D(2)(convolve(x, width)))
        x = layers.Add()([x, activate(convolve(x, width))])
    x = layers.GlobalMaxPooling2D()(x)
    if dropout:
        x = layers.Dropout(dropout)(x)
    return keras.Model(inputs, layers.Dense(1, dtype="float32", name="logit")(x), name="cellnet")
