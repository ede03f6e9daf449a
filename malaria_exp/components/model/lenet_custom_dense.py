"""The notebooks' LeNet, on a Dense layer written by hand (after LeCun et al. 1998, doi:10.1109/5.726791)."""

from typing import TYPE_CHECKING

from malaria_exp.components.model._lenet_parameters import LeNetParameters
from malaria_exp.config.registry import register
from malaria_exp.config.shared_parameters import with_parameters

if TYPE_CHECKING:
    import keras


@register("model", "lenet_custom_dense")
@with_parameters(LeNetParameters)
def lenet_custom_dense(p: LeNetParameters, /) -> "keras.Model":
    """LeNet of the notebooks on a Dense layer written by hand: see layers/custom_dense.py.

    The same model as lenet_sequential. This way a layer can compute what Keras has no layer for.
    """
    import keras
    from keras import layers

    from malaria_exp.components.model.layers.custom_dense import CustomDense

    penalty = p.penalty()
    inputs = keras.Input((p.image_size, p.image_size, 3))
    x = layers.Conv2D(p.filters, p.kernel_size, activation="relu", kernel_regularizer=penalty)(inputs)
    x = layers.BatchNormalization(momentum=p.momentum)(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Dropout(p.dropout)(x)
    x = layers.Conv2D(p.filters_2, p.kernel_size, activation="relu", kernel_regularizer=penalty)(x)
    x = layers.BatchNormalization(momentum=p.momentum)(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Flatten()(x)
    x = CustomDense(p.units, activation="relu", kernel_regularizer=penalty)(x)
    x = layers.BatchNormalization(momentum=p.momentum)(x)
    x = layers.Dropout(p.dropout)(x)
    x = CustomDense(p.units_2, activation="relu", kernel_regularizer=penalty)(x)
    x = layers.BatchNormalization(momentum=p.momentum)(x)
    return keras.Model(inputs, CustomDense(1, dtype="float32", name="logit")(x), name="lenet_custom_dense")
