"""The notebooks' LeNet, a Sequential model called inside a Functional one (after LeCun et al. 1998, doi:10.1109/5.726791)."""

from typing import TYPE_CHECKING

from malaria_exp.components.model._lenet_parameters import LeNetParameters
from malaria_exp.config.registry import register
from malaria_exp.config.shared_parameters import with_parameters

if TYPE_CHECKING:
    import keras


@register("model", "lenet_callable")
@with_parameters(LeNetParameters)
def lenet_callable(p: LeNetParameters, /) -> "keras.Model":
    """LeNet of the notebooks with a Sequential feature extractor, called like a layer in a Functional model.

    The same model as lenet_sequential. This way the extractor can be used, saved or frozen by itself: `model.get_layer("features")`.
    """
    import keras
    from keras import layers

    penalty = p.penalty()
    features = keras.Sequential(
        [
            layers.Conv2D(p.filters, p.kernel_size, activation="relu", kernel_regularizer=penalty),
            layers.BatchNormalization(momentum=p.momentum),
            layers.MaxPooling2D(2),
            layers.Dropout(p.dropout),
            layers.Conv2D(p.filters_2, p.kernel_size, activation="relu", kernel_regularizer=penalty),
            layers.BatchNormalization(momentum=p.momentum),
            layers.MaxPooling2D(2),
        ],
        name="features",
    )
    inputs = keras.Input((p.image_size, p.image_size, 3))
    x = features(inputs)
    x = layers.Flatten()(x)
    x = layers.Dense(p.units, activation="relu", kernel_regularizer=penalty)(x)
    x = layers.BatchNormalization(momentum=p.momentum)(x)
    x = layers.Dropout(p.dropout)(x)
    x = layers.Dense(p.units_2, activation="relu", kernel_regularizer=penalty)(x)
    x = layers.BatchNormalization(momentum=p.momentum)(x)
    return keras.Model(inputs, layers.Dense(1, dtype="float32", name="logit")(x), name="lenet_callable")
