"""The backbones of `transfer`: models of keras.applications, their input scaling, and the source of their weights."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from malaria_exp.components.model._backbone_weights import imagenet_weights, load_file

if TYPE_CHECKING:
    import keras

BackboneName = Literal["mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "efficientnet_v2", "resnet50", "vgg16", "densenet121"]


@dataclass(frozen=True)
class Backbone:
    """A model of keras.applications.

    Attributes:
        application: its name there.
        scaling: mode of BackboneScaling that it needs.
        weights: where Keras fetches its ImageNet weights from, below the address of Keras' files; {edge} is one of `edges`.
        edges: edges in pixels of the images that it has ImageNet weights for; empty if all edges share the same weights.
    """

    application: str
    scaling: str
    weights: str
    edges: tuple[int, ...] = ()


BACKBONES: dict[str, Backbone] = {
    "mobilenet_v2": Backbone(
        "MobileNetV2",
        "tf",
        "tensorflow/keras-applications/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_{edge}_no_top.h5",
        (96, 128, 160, 192, 224),
    ),
    "mobilenet_v3_small": Backbone(
        "MobileNetV3Small", "raw", "tensorflow/keras-applications/mobilenet_v3/weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5"
    ),
    "efficientnet_b0": Backbone("EfficientNetB0", "efficientnet", "keras-applications/efficientnetb0_notop.h5"),
    "efficientnet_v2": Backbone("EfficientNetV2B0", "raw", "tensorflow/keras-applications/efficientnet_v2/efficientnetv2-b0_notop.h5"),
    "resnet50": Backbone("ResNet50", "caffe", "tensorflow/keras-applications/resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    "vgg16": Backbone("VGG16", "caffe", "tensorflow/keras-applications/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    "densenet121": Backbone(
        "DenseNet121", "torch", "tensorflow/keras-applications/densenet/densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5"
    ),
}


def build_backbone(name: str, image_size: int, weights: str | None) -> "keras.Model":
    """Builds a backbone without its classifier, as a model named "backbone".

    Args:
        name: of BACKBONES.
        image_size: edge of the input in pixels.
        weights: None, "imagenet", or a file of weights.

    Raises:
        ConfigError: the weights cannot be fetched, read, or do not fit.
    """
    import keras

    backbone = BACKBONES[name]
    application = getattr(keras.applications, backbone.application)
    model: keras.Model = application(include_top=False, weights=None, input_shape=(image_size, image_size, 3))
    model.name = "backbone"
    if weights == "imagenet":
        edge = min(backbone.edges, key=lambda edge: abs(edge - image_size), default=image_size)
        model.set_weights(imagenet_weights(name, application, edge, backbone.weights.format(edge=edge)))
        for layer in model.layers:
            if isinstance(layer, keras.layers.Normalization):
                # It computes with copies of its weights, which set_weights does not update.
                layer.finalize_state()
    elif weights is not None:
        load_file(model, name, weights)
    return model
