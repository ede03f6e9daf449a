"""ResNet-18 and ResNet-34, written as classes: a convolution layer, a residual block and a model.

He, Zhang, Ren and Sun, Deep residual learning for image recognition, 2015, arXiv 1512.03385: basic blocks, table 1.
"""

from typing import TYPE_CHECKING, Annotated, Literal

from malaria_exp.components.model._sizes import ResNetStem, check_resnet_size
from malaria_exp.config.registry import register
from malaria_exp.config.validation import PositiveInt, Range

if TYPE_CHECKING:
    import keras


@register("model", "resnet_subclassed")
def resnet_subclassed(
    *,
    image_size: Annotated[int, Range(low=16)] = 64,
    depth: Literal[18, 34] = 18,
    width: PositiveInt = 16,
    stem: ResNetStem = "3x3",
    momentum: Annotated[float, Range(low=0, below=1)] = 0.9,
) -> "keras.Model":
    """ResNet-18 or ResNet-34 as classes of its own: see model/_resnet.py.

    The net of resnet_functional, with the same numbers of everything.

    Args:
        image_size: edge of the input in pixels.
        depth: layers with weights, counted as the paper does; 18 has 2, 2, 2, 2 blocks, 34 has 3, 4, 6, 3.
        width: filters of the stem and the first stage; the paper has 64.
        stem: 3x3, one convolution of stride 2, for crops up to about 100 px; 7x7, the paper's, with a pooling of stride 2 after it.
        momentum: of the batch normalizations' running statistics; Keras' own 0.99 needs more steps than a short run has.
    """
    import keras

    from malaria_exp.components.model._resnet import ResNet

    check_resnet_size(image_size, stem)
    model = ResNet(image_size, depth, width, stem, momentum, name="resnet_subclassed")
    # A class says nothing about its input: without a first call its weights would not exist before the first batch.
    model(keras.Input(model.input_shape[1:]))
    return model
