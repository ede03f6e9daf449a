"""ResNet-18 and ResNet-34, written with the Functional API.

He, Zhang, Ren and Sun, Deep residual learning for image recognition, 2015, arXiv 1512.03385: basic blocks, table 1.
"""

from typing import TYPE_CHECKING

from malaria_exp.components.model._resnet_parameters import RESNET_BLOCKS, ResNetParameters
from malaria_exp.config.registry import register
from malaria_exp.config.shared_parameters import with_parameters

if TYPE_CHECKING:
    import keras


@register("model", "resnet_functional")
@with_parameters(ResNetParameters)
def resnet_functional(p: ResNetParameters, /) -> "keras.Model":
    """ResNet-18 or ResNet-34 by the Functional API: 0.70M parameters at the default depth and width.

    A stem, then four stages of residual blocks with width, 2 x width, 4 x width and 8 x width filters; each stage but the first
    begins with a stride of 2. The last layer reads the average over the image. stem=7x7 with width=64 is the paper's model.
    """
    import keras
    from keras import layers

    def convolve(x: "keras.KerasTensor", filters: int, kernel_size: int, strides: int, name: str) -> "keras.KerasTensor":
        conv = layers.Conv2D(
            filters, kernel_size, strides, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
        )
        return layers.BatchNormalization(momentum=p.momentum, name=f"{name}_norm")(conv(x))

    def residual_block(x: "keras.KerasTensor", filters: int, strides: int, name: str) -> "keras.KerasTensor":
        first = layers.ReLU()(convolve(x, filters, 3, strides, f"{name}_first"))
        second = convolve(first, filters, 3, 1, f"{name}_second")
        # The shortcut past the block is the identity where the shapes allow it.
        past = convolve(x, filters, 1, strides, f"{name}_past") if strides > 1 else x
        return layers.ReLU(name=name)(layers.Add()([second, past]))

    inputs = keras.Input((p.image_size, p.image_size, 3))
    x = layers.ReLU(name="stem")(convolve(inputs, p.width, 7 if p.stem == "7x7" else 3, 2, "stem"))
    if p.stem == "7x7":
        x = layers.MaxPooling2D(3, 2, padding="same")(x)
    for stage, blocks in enumerate(RESNET_BLOCKS[p.depth]):
        for block in range(blocks):
            strides = 2 if stage and not block else 1
            x = residual_block(x, p.width * 2**stage, strides, f"stage{stage + 1}_block{block + 1}")
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(1, dtype="float32", name="logit")(x), name="resnet_functional")
