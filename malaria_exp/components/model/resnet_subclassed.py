"""ResNet-18 and ResNet-34, written as classes: a convolution layer, a residual block and a model.

He, Zhang, Ren and Sun, Deep residual learning for image recognition, 2015, arXiv 1512.03385: basic blocks, table 1.
"""

from typing import TYPE_CHECKING

from malaria_exp.components.model._resnet_parameters import ResNetParameters
from malaria_exp.config.registry import register
from malaria_exp.config.shared_parameters import with_parameters

if TYPE_CHECKING:
    import keras


@register("model", "resnet_subclassed")
@with_parameters(ResNetParameters)
def resnet_subclassed(p: ResNetParameters, /) -> "keras.Model":
    """ResNet-18 or ResNet-34 as classes of its own: see layers/resnet_model.py.

    The same model as resnet_functional.
    """
    import keras

    from malaria_exp.components.model.layers.resnet_model import ResNet

    model = ResNet(p.image_size, p.depth, p.width, p.stem, p.momentum, name="resnet_subclassed")
    # A subclassed model creates its weights when it is first called.
    model(keras.Input(model.input_shape[1:]))
    return model
