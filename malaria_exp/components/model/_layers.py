"""Registers the project's own layers and models with Keras.

`malaria_exp.runs.saved_model.load_model` needs no registration. Keras by itself does, to read a saved model that has such layers:

    import malaria_exp.components.model._layers
    model = keras.saving.load_model("outputs/.../model.keras")
"""

from malaria_exp.components.model._backbone_scaling import BackboneScaling
from malaria_exp.components.model._custom_dense import CustomDense
from malaria_exp.components.model._lenet_features import LeNetFeatures
from malaria_exp.components.model._lenet_model import LeNet
from malaria_exp.components.model._mean_logit import MeanLogit
from malaria_exp.components.model._position_embedding import PositionEmbedding
from malaria_exp.components.model._resnet import ConvNorm, ResidualBlock, ResNet
from malaria_exp.training.raw_input import PrepareImages

__all__ = [
    "BackboneScaling",
    "ConvNorm",
    "CustomDense",
    "LeNet",
    "LeNetFeatures",
    "MeanLogit",
    "PositionEmbedding",
    "PrepareImages",
    "ResNet",
    "ResidualBlock",
]
