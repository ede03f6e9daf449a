"""The notebooks' LeNet, written with the Sequential API (after LeCun et al. 1998, doi:10.1109/5.726791)."""

from typing import TYPE_CHECKING

from malaria_exp.components.model._lenet_parameters import LeNetParameters
from malaria_exp.config.registry import register
from malaria_exp.config.shared_parameters import with_parameters

if TYPE_CHECKING:
    import keras


@register("model", "lenet_sequential")
@with_parameters(LeNetParameters)
def lenet_sequential(p: LeNetParameters, /) -> "keras.Model":
    """LeNet of the notebooks by the Sequential API: 4,668,297 parameters at 224 px.

    The notebooks end in a sigmoid unit; here, as in every model, the last unit gives the logit and the loss applies the
    sigmoid, which is the same function and numerically safer.
    """
    import keras
    from keras import layers

    penalty = p.penalty()
    return keras.Sequential(
        [
            keras.Input((p.image_size, p.image_size, 3)),
            layers.Conv2D(p.filters, p.kernel_size, activation="relu", kernel_regularizer=penalty),
            layers.BatchNormalization(momentum=p.momentum),
            layers.MaxPooling2D(2),
            layers.Dropout(p.dropout),
            layers.Conv2D(p.filters_2, p.kernel_size, activation="relu", kernel_regularizer=penalty),
            layers.BatchNormalization(momentum=p.momentum),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(p.units, activation="relu", kernel_regularizer=penalty),
            layers.BatchNormalization(momentum=p.momentum),
            layers.Dropout(p.dropout),
            layers.Dense(p.units_2, activation="relu", kernel_regularizer=penalty),
            layers.BatchNormalization(momentum=p.momentum),
            layers.Dense(1, dtype="float32", name="logit"),
        ],
        name="lenet_sequential",
    )
