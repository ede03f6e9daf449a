"""The notebooks' LeNet, a custom layer inside a Functional model (after LeCun et al. 1998, doi:10.1109/5.726791)."""

from typing import TYPE_CHECKING

from malaria_exp.components.model._lenet_parameters import LeNetParameters
from malaria_exp.config.registry import register
from malaria_exp.config.shared_parameters import with_parameters

if TYPE_CHECKING:
    import keras


@register("model", "lenet_layer")
@with_parameters(LeNetParameters)
def lenet_layer(p: LeNetParameters, /) -> "keras.Model":
    """LeNet of the notebooks with a feature extractor that is one custom layer: see layers/lenet_features.py.

    The same model as lenet_sequential. This way a group of layers gets a name and parameters, and other models can use it.
    """
    import keras
    from keras import layers

    from malaria_exp.components.model.layers.lenet_features import LeNetFeatures

    penalty = p.penalty()
    inputs = keras.Input((p.image_size, p.image_size, 3))
    x = LeNetFeatures(p.filters, p.filters_2, p.kernel_size, p.dropout, p.l2, p.momentum, name="features")(inputs)
    x = layers.Flatten()(x)
    x = layers.Dense(p.units, activation="relu", kernel_regularizer=penalty)(x)
    x = layers.BatchNormalization(momentum=p.momentum)(x)
    x = layers.Dropout(p.dropout)(x)
    x = layers.Dense(p.units_2, activation="relu", kernel_regularizer=penalty)(x)
    x = layers.BatchNormalization(momentum=p.momentum)(x)
    return keras.Model(inputs, layers.Dense(1, dtype="float32", name="logit")(x), name="lenet_layer")
