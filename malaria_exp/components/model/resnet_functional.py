"""ResNet-18 and ResNet-34, written with the Functional API.

He, Zhang, Ren and Sun, Deep residual learning for image recognition, 2015, arXiv 1512.03385: basic blocks, table 1.
"""

from typing import TYPE_CHECKING, Annotated, Literal

from malaria_exp.components.model._sizes import RESNET_BLOCKS, ResNetStem, check_resnet_size
from malaria_exp.config.registry import register
from malaria_exp.config.validation import PositiveInt, Range

if TYPE_CHECKING:
    import keras


@register("model", "resnet_functional")
def resnet_functional(
    *,
    image_size: Annotated[int, Range(low=16)] = 64,
    depth: Literal[18, 34] = 18,
    width: PositiveInt = 16,
    stem: ResNetStem = "3x3",
    momentum: Annotated[float, Range(low=0, below=1)] = 0.9,
) -> "keras.Model":
    """ResNet-18 or ResNet-34 by the Functional API: 0.70M parameters at the default depth and width.

    A stem, then four stages of residual blocks with width, 2 x width, 4 x width and 8 x width filters, each but the first
    beginning with a stride of 2; the average over the picture decides. stem=7x7 with width=64 is the paper's net.

    Args:
        image_size: edge of the input in pixels.
        depth: layers with weights, counted as the paper does; 18 has 2, 2, 2, 2 blocks, 34 has 3, 4, 6, 3.
        width: filters of the stem and the first stage; the paper has 64.
        stem: 3x3, one convolution of stride 2, for crops up to about 100 px; 7x7, the paper's, with a pooling of stride 2 after it.
        momentum: of the batch normalizations' running statistics; Keras' own 0.99 needs more steps than a short run has.
    """
    import keras
    from keras import layers

    check_resnet_size(image_size, stem)

    def convolve(x: "keras.KerasTensor", filters: int, kernel_size: int, strides: int, name: str) -> "keras.KerasTensor":
        conv = layers.Conv2D(
            filters, kernel_size, strides, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
        )
        return layers.BatchNormalization(momentum=momentum, name=f"{name}_norm")(conv(x))

    def residual_block(x: "keras.KerasTensor", filters: int, strides: int, name: str) -> "keras.KerasTensor":
        first = layers.ReLU()(convolve(x, filters, 3, strides, f"{name}_first"))
        second = convolve(first, filters, 3, 1, f"{name}_second")
        # The way past the block stays the identity wherever the shapes allow it.
        past = convolve(x, filters, 1, strides, f"{name}_past") if strides > 1 else x
        return layers.ReLU(name=name)(layers.Add()([second, past]))

    inputs = keras.Input((image_size, image_size, 3))
    x = layers.ReLU(name="stem")(convolve(inputs, width, 7 if stem == "7x7" else 3, 2, "stem"))
    if stem == "7x7":
        x = layers.MaxPooling2D(3, 2, padding="same")(x)
    for stage, blocks in enumerate(RESNET_BLOCKS[depth]):
        for block in range(blocks):
            strides = 2 if stage and not block else 1
            x = residual_block(x, width * 2**stage, strides, f"stage{stage + 1}_block{block + 1}")
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(1, dtype="float32", name="logit")(x), name="resnet_functional")
