"""The layers and models that the project registers with Keras; importing this package imports Keras.

Keras needs the registration to load a saved model that has such layers (`malaria_exp.runs.saved_model.load_model` does not):

    import keras
    import malaria_exp.components.model.layers
    model = keras.saving.load_model("outputs/.../model.keras")
"""

from malaria_exp.components.model.layers.backbone_scaling import BackboneScaling
from malaria_exp.components.model.layers.custom_dense import CustomDense
from malaria_exp.components.model.layers.lenet_features import LeNetFeatures
from malaria_exp.components.model.layers.lenet_model import LeNet
from malaria_exp.components.model.layers.mean_logit import MeanLogit
from malaria_exp.components.model.layers.position_embedding import PositionEmbedding
from malaria_exp.components.model.layers.resnet_model import ConvNorm, ResidualBlock, ResNet
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
