"""A model trained on other images, with a new head: transfer learning (Yosinski et al. 2014, arXiv 1411.1792)."""

from typing import TYPE_CHECKING, Annotated, Literal

from malaria_exp.components.model._backbones import BACKBONES, BackboneName, build_backbone
from malaria_exp.config.registry import register
from malaria_exp.config.validation import Range

if TYPE_CHECKING:
    import keras


@register("model", "transfer")
def transfer(
    *,
    image_size: Annotated[int, Range(low=32, high=1024)] = 96,
    backbone: BackboneName = "mobilenet_v2",
    weights: str | None = None,
    pooling: Literal["average", "max"] = "average",
    dropout: Annotated[float, Range(low=0, below=1)] = 0.2,
    momentum: Annotated[float, Range(low=0, below=1)] | None = 0.9,
) -> "keras.Model":
    """A backbone of keras.applications (MobileNetV2, EfficientNet, ResNet-50, VGG-16 ...) with a new head.

    With trainer=staged the head is trained on frozen features first, then deeper layers: experiment=transfer_learning. Each backbone
    gets its own input scaling, inside the model. Its layers keep Keras' names, such as block_16_project, for trainer.stages.

    Args:
        image_size: edge of the input in pixels; the ImageNet weights were made at 224.
        backbone: the model without its classifier; its paper is named in Keras' documentation of keras.applications.
        weights: null (untrained), imagenet (downloaded once by Keras), or a file of the backbone's weights without classifier.
        pooling: the average or the largest value of each feature map.
        dropout: fraction of the features dropped before the last layer.
        momentum: of the batch normalizations' running statistics, where they are trained; null for the backbone's own, .99 or .999, which short runs cannot use.
    """
    import keras
    from keras import layers

    from malaria_exp.components.model.layers.backbone_scaling import BackboneScaling

    base = build_backbone(backbone, image_size, weights)
    if momentum is not None:
        for layer in base.layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.momentum = momentum
    inputs = keras.Input((image_size, image_size, 3))
    x = base(BackboneScaling(BACKBONES[backbone].scaling, name="scaling")(inputs))
    x = {"average": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}[pooling](name="pooling")(x)
    if dropout:
        x = layers.Dropout(dropout)(x)
    model = keras.Model(inputs, layers.Dense(1, dtype="float32", name="logit")(x), name="transfer")
    # A saved run has all weights: to rebuild the model, neither a download nor the file is needed.
    model.rebuild_params = {"weights": None}
    if weights is None:
        model.remark = (
            f"{backbone} starts untrained (model.weights=null): model.weights=imagenet or a file of weights transfers what it learned"
        )
    return model
