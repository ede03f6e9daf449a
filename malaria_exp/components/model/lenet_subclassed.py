"""The notebooks' LeNet, written as a subclass of keras.Model (after LeCun et al. 1998, doi:10.1109/5.726791)."""

from typing import TYPE_CHECKING

from malaria_exp.components.model._lenet_parameters import LeNetParameters
from malaria_exp.config.registry import register
from malaria_exp.config.shared_parameters import with_parameters

if TYPE_CHECKING:
    import keras


@register("model", "lenet_subclassed")
@with_parameters(LeNetParameters)
def lenet_subclassed(p: LeNetParameters, /) -> "keras.Model":
    """LeNet of the notebooks as a subclass of keras.Model: see layers/lenet_model.py.

    The same model as lenet_sequential. This way the forward pass is plain Python and may branch or loop.
    """
    import keras

    from malaria_exp.components.model.layers.lenet_model import LeNet

    model = LeNet(**vars(p), name="lenet_subclassed")
    # A subclassed model creates its weights when it is first called.
    model(keras.Input(model.input_shape[1:]))
    return model
