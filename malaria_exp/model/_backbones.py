"""The backbones of `transfer`: nets of keras.applications, their input scaling, and where their weights come from."""

import contextlib
import re
import socket
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from malaria_exp.errors import ConfigError

if TYPE_CHECKING:
    import keras

BackboneName = Literal["mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "efficientnet_v2", "resnet50", "vgg16", "densenet121"]
PATIENCE_SECONDS = 20.0


@dataclass(frozen=True)
class Backbone:
    """A net of keras.applications.

    Attributes:
        application: its name there.
        scaling: mode of BackboneScaling that it needs.
    """

    application: str
    scaling: str


BACKBONES: dict[str, Backbone] = {
    "mobilenet_v2": Backbone("MobileNetV2", "tf"),
    "mobilenet_v3_small": Backbone("MobileNetV3Small", "raw"),
    "efficientnet_b0": Backbone("EfficientNetB0", "efficientnet"),
    "efficientnet_v2": Backbone("EfficientNetV2B0", "raw"),
    "resnet50": Backbone("ResNet50", "caffe"),
    "vgg16": Backbone("VGG16", "caffe"),
    "densenet121": Backbone("DenseNet121", "torch"),
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

    application = getattr(keras.applications, BACKBONES[name].application)
    shape = (image_size, image_size, 3)
    net: keras.Model = application(include_top=False, weights=None, input_shape=shape)
    net.name = "backbone"
    if weights == "imagenet":
        net.set_weights(_imagenet(application, name, shape))
    elif weights is not None:
        _load(net, name, Path(weights).expanduser())
    return net


def _imagenet(application: "type[keras.Model]", name: str, shape: tuple[int, int, int]) -> list:
    """Returns the weights of ImageNet, downloaded by Keras, which checks their hash and keeps them in ~/.keras."""
    try:
        with _timeout():
            return application(include_top=False, weights="imagenet", input_shape=shape).get_weights()
    except Exception as error:
        url = re.search(r"https?://\S+?\.h5", str(error))
        if not url:
            raise
        reason = str(error).partition(" -- ")[2] or str(error).splitlines()[0]
        raise ConfigError(
            f"model.weights: the ImageNet weights of {name} could not be fetched ({reason}). Fetch {url[0]} where there is a network, and give"
            " the file: model.weights=path. Or train from nothing: model.weights=null."
        ) from None


@contextlib.contextmanager
def _timeout() -> Iterator[None]:
    """Keras' download waits forever for a server that does not answer."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _load(net: "keras.Model", name: str, path: Path) -> None:
    if not path.is_file():
        raise ConfigError(
            f"model.weights: no file '{path}'. Expected null, imagenet, or a file of {name}'s weights (.weights.h5, .h5 or .keras)."
        )
    if not path.name.endswith((".h5", ".keras")):
        raise ConfigError(f"model.weights: '{path}' is no file of weights; expected one that ends with .weights.h5, .h5 or .keras.")
    try:
        with warnings.catch_warnings():
            # Keras only warns of layers that the file lacks; half a net's weights are of no use.
            warnings.simplefilter("error", UserWarning)
            net.load_weights(path)
    except Exception as error:  # noqa: BLE001 - HDF5, zip and Keras each raise their own
        reason = " ".join(str(error).split())[:400]
        raise ConfigError(
            f"model.weights: '{path}' does not fit {name} without its classifier (a file whose name says notop or no_top): {reason}"
        ) from None
