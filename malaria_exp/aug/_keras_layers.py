"""Keras' preprocessing layers from names and arguments, and draws for them that depend on nothing but the batch's seed."""

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import keras
import tensorflow as tf

from malaria_exp.aug._rot90_layer import RandomRot90
from malaria_exp.aug._tf_image_ops import flip_some, stretch
from malaria_exp.aug._warp import move
from malaria_exp.errors import ConfigError, did_you_mean
from malaria_exp.schema import check, check_keys

if TYPE_CHECKING:
    from collections.abc import Callable

COLOUR = (
    "AutoContrast",
    "Equalization",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomContrast",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPosterization",
    "RandomSaturation",
    "RandomSharpness",
    "Solarization",
)
GEOMETRY = (
    "RandomElasticTransform",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomPerspective",
    "RandomRotation",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
)
OWN = {"RandomRot90": RandomRot90}
# Layers that would be misunderstood, and what does the same here.
ELSEWHERE = {
    "AugMix": "aug=augmix",
    "CutMix": "aug=cutmix, which mixes the labels too",
    "MixUp": "aug=mixup, which mixes the labels too",
    "RandAugment": "aug=rand_augment",
    "RandomColorJitter": "aug=color, or RandomBrightness, RandomContrast, RandomSaturation and RandomHue in a row",
    "Rescaling": "nothing: pixels are in [0, 1], and models scale them as they need",
    "Resizing": "model.image_size",
    "CenterCrop": "aug=resized_crop",
    "RandomCrop": "aug=resized_crop",
}
FLIPS = ("horizontal", "vertical", "horizontal_and_vertical")
# What the framework decides: pixels are float32 in [0, 1], and draws come from the run's seed.
SET_HERE = {"self", "kwargs", "value_range", "seed", "data_format", "bounding_box_format"}


class StepSeeds(keras.random.SeedGenerator):
    """Gives Keras' random functions seeds that follow from one seed, with no state that threads or resumed runs could disagree about."""

    def __init__(self, seed: tf.Tensor) -> None:
        # The parent's state, a variable, is what this is without.
        self._seed, self._number = seed, 0

    def next(self, ordered: bool = True) -> tf.Tensor:
        """Returns the next seed, int32 (2,)."""
        self._number += 1
        return tf.random.fold_in(self._seed, self._number)


def build_layers(path: str, layers: Sequence[Mapping[str, Any]]) -> list[keras.layers.Layer]:
    """Builds the layers of a list such as [{RandomFlip: {mode: horizontal}}, {RandomRot90: {}}].

    Raises:
        ConfigError: an unknown layer, argument or value.
    """
    return [_build(f"{path}[{number}]", layer) for number, layer in enumerate(layers)]


def _build(path: str, layer: Mapping[str, Any]) -> keras.layers.Layer:
    if not isinstance(layer, Mapping) or len(layer) != 1:
        raise ConfigError(
            f"{path}: expected a layer's name with its arguments, such as {{RandomFlip: {{mode: horizontal}}}}, received {layer!r}."
        )
    ((name, arguments),) = layer.items()
    arguments = {} if arguments is None else arguments
    known = [*COLOUR, *GEOMETRY, *OWN]
    if name in ELSEWHERE:
        raise ConfigError(f"{path}.{name}: not possible here. Use {ELSEWHERE[name]}.")
    if name not in known:
        raise ConfigError(f"{path}.{name}: no such layer.{did_you_mean(str(name), known)} Layers: {', '.join(sorted(known))}.")
    if not isinstance(arguments, Mapping):
        raise ConfigError(f"{path}.{name}: expected the layer's arguments, such as {{factor: 0.2}}, received {arguments!r}.")
    made: Callable[..., keras.layers.Layer] = OWN.get(name) or getattr(keras.layers, name)
    accepted = inspect.signature(made).parameters
    check_keys(f"{path}.{name}", arguments, set(accepted) - SET_HERE - {"options"})
    extra: dict[str, Any] = {"value_range": (0.0, 1.0)} if "value_range" in accepted else {}
    if "seed" in accepted:
        # Never used; left out it would be drawn from the machine's randomness.
        extra["seed"] = 0
    if name == "RandomFlip":
        # Keras takes anything, and then does not flip.
        check(f"{path}.{name}.mode", arguments.get("mode", FLIPS[-1]), Literal[FLIPS])
    try:
        built = made(**arguments, **extra, dtype="float32")
        # Some values are looked at only when they are used.
        apply_layer(built, tf.ones((2, 8, 8, 3)), tf.constant([0, 0]))
    except Exception as error:  # noqa: BLE001 - Keras and TensorFlow raise of all kinds for arguments that do not fit
        raise ConfigError(f"{path}.{name}: {' '.join(str(error).split())}") from None
    return built


def apply_layer(layer: keras.layers.Layer, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Returns images float32 (B, H, W, 3), transformed with draws from the seed alone, in [0, 1]."""
    return _transform(layer, images, layer.get_random_transformation(images, training=True, seed=StepSeeds(seed)))


def _transform(layer: keras.layers.Layer, images: tf.Tensor, drawn: Any) -> tf.Tensor:
    """Returns what the layer makes of images by what it drew: for some layers by operations of ours, the same pixels several times faster."""
    plain = (getattr(layer, key, None) for key in ("fill_mode", "interpolation", "fill_value"))
    if type(layer) is keras.layers.RandomRotation and tuple(plain) == ("constant", "bilinear", 0.0):
        return move(images, drawn["rotation_matrix"][:, :6])
    if type(layer) is keras.layers.RandomFlip:
        return flip_some(images, drawn["flips"][:, 0, 0, 0], horizontally="horizontal" in layer.mode, vertically="vertical" in layer.mode)
    if type(layer) is keras.layers.RandomContrast:
        return tf.clip_by_value(stretch(images, drawn["contrast_factor"][:, 0, 0, 0]), 0.0, 1.0)
    return tf.clip_by_value(layer.transform_images(images, drawn, training=True), 0.0, 1.0)
