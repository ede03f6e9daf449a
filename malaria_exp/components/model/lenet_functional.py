"""The notebooks' LeNet, written with the Functional API (after LeCun et al. 1998, doi:10.1109/5.726791)."""

from typing import TYPE_CHECKING

from malaria_exp.components.model._lenet_parameters import LeNetParameters
from malaria_exp.config.registry import register
from malaria_exp.config.shared_parameters import with_parameters

if TYPE_CHECKING:
    import keras


@register("model", "lenet_functional")
@with_parameters(LeNetParameters)
def lenet_functional(p: LeNetParameters, /) -> "keras.Model":
    """LeNet of the notebooks by the Functional API: each layer is called on the output of the one before.

    The same model as lenet_sequential. This way a layer may have several inputs or outputs, as residual networks need.
    """
    import keras
    from keras import layers

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
    x = layers.Dense(p.units, activation="relu", kernel_regularizer=penalty)(x)
    x = layers.BatchNormalization(momentum=p.momentum)(x)
    x = layers.Dropout(p.dropout)(x)
    x = layers.Dense(p.units_2, activation="relu", kernel_regularizer=penalty)(x)
    x = layers.BatchNormalization(momentum=p.momentum)(x)
    return keras.Model(inputs, layers.Dense(1, dtype="float32", name="logit")(x), name="lenet_functional")
