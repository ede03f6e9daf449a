"""The notebooks' LeNet, a layer of the project's own inside a Functional model (after LeCun et al. 1998, doi:10.1109/5.726791)."""

from typing import TYPE_CHECKING, Annotated

from malaria_exp.components.model._sizes import check_lenet_size
from malaria_exp.config.registry import register
from malaria_exp.config.validation import NonNegative, PositiveInt, Range

if TYPE_CHECKING:
    import keras


@register("model", "lenet_layer")
def lenet_layer(
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
    """LeNet of the notebooks with its feature extractor a layer written for it: see model/_lenet_features.py.

    The net of lenet_sequential. Written so, a group of layers gets a name, parameters and a place in other models.

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
    from keras import layers

    from malaria_exp.components.model._lenet_features import LeNetFeatures

    check_lenet_size(image_size, kernel_size)
    regularizer = keras.regularizers.L2(l2) if l2 else None
    inputs = keras.Input((image_size, image_size, 3))
    x = LeNetFeatures(filters, filters_2, kernel_size, dropout, l2, momentum, name="features")(inputs)
    x = layers.Flatten()(x)
    x = layers.Dense(units, activation="relu", kernel_regularizer=regularizer)(x)
    x = layers.BatchNormalization(momentum=momentum)(x)
    x = layers.Dropout(dropout)(x)
    x = layers.Dense(units_2, activation="relu", kernel_regularizer=regularizer)(x)
    x = layers.BatchNormalization(momentum=momentum)(x)
    return keras.Model(inputs, layers.Dense(1, dtype="float32", name="logit")(x), name="lenet_layer")
