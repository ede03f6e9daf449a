"""The notebooks' LeNet, written as a subclass of keras.Model (after LeCun et al. 1998, doi:10.1109/5.726791)."""

from typing import TYPE_CHECKING, Annotated

from malaria_exp.components.model._sizes import check_lenet_size
from malaria_exp.config.registry import register
from malaria_exp.config.validation import NonNegative, PositiveInt, Range

if TYPE_CHECKING:
    import keras


@register("model", "lenet_subclassed")
def lenet_subclassed(
    *,
    image_size: Annotated[int, Range(low=16)] = 224,
    filters: PositiveInt = 6,
    filters_2: PositiveInt = 16,
    kernel_size: PositiveInt = 3,
    units: PositiveInt = 100,
    units_2: PositiveInt = 10,
    dropout: Annotated[float, Range(low=0, below=1)] = 0.2,
    l2: NonNegative = 0.01,
    momentum: Annotated[float, Range(low=0, below=1)] = 0.9,
) -> "keras.Model":
    """LeNet of the notebooks as a class of its own: see model/_lenet_model.py.

    The net of lenet_sequential. Written so, the forward pass is plain Python, and may branch or loop.

    Args:
        image_size: edge of the input in pixels.
        filters: filters of the first convolution.
        filters_2: filters of the second convolution.
        kernel_size: edge of both convolutions' kernels in pixels.
        units: width of the first dense layer.
        units_2: width of the second dense layer.
        dropout: share of the units dropped after the first convolution and the first dense layer.
        l2: L2 penalty on the kernels of convolutions and dense layers, before the last one.
        momentum: of the batch normalizations' running statistics; Keras' own 0.99 needs more steps than a short run has.
    """
    import keras

    from malaria_exp.components.model._lenet_model import LeNet

    check_lenet_size(image_size, kernel_size)
    model = LeNet(image_size, filters, filters_2, kernel_size, units, units_2, dropout, l2, momentum, name="lenet_subclassed")
    # A class says nothing about its input: without a first call its weights would not exist before the first batch.
    model(keras.Input(model.input_shape[1:]))
    return model
