"""Keras' preprocessing layers from names and arguments, with random numbers that depend on nothing but the batch's seed."""

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import keras
import tensorflow as tf

from malaria_exp.components.aug._colors import keep_black, recolor
from malaria_exp.components.aug._geometry import flip_some, move
from malaria_exp.components.aug._rot90_layer import RandomRot90
from malaria_exp.config.validation import check, check_keys
from malaria_exp.utils.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

COLOR = (
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
# Layers that do not fit here, and what does the same.
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
# Arguments that are set here: pixels are float32 in [0, 1], and random numbers come from the run's seed.
SET_HERE = {"self", "kwargs", "value_range", "seed", "data_format", "bounding_box_format"}


class StepSeeds(keras.random.SeedGenerator):
    """Gives Keras' random functions seeds made from one seed, without the state that would depend on threads and be lost on resuming."""

    def __init__(self, seed: tf.Tensor) -> None:
        # The parent's __init__ would make a variable for its state.
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
    known = [*COLOR, *GEOMETRY, *OWN]
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
        # Never used, but without it Keras would draw one from the system's randomness.
        extra["seed"] = 0
    if name == "RandomFlip":
        # Keras accepts any mode, and does not flip for an unknown one.
        check(f"{path}.{name}.mode", arguments.get("mode", FLIPS[-1]), Literal[FLIPS])
    try:
        built = made(**arguments, **extra, dtype="float32")
        # Keras checks some values only when they are used.
        images = tf.ones((2, 8, 8, 3))
        built.transform_images(images, built.get_random_transformation(images, seed=StepSeeds(tf.constant([0, 0]))), training=True)
    except Exception as error:  # noqa: BLE001 - Keras and TensorFlow raise all kinds of errors for wrong arguments
        raise ConfigError(f"{path}.{name}: {' '.join(str(error).split())}") from None
    return built


# These layers move whole pixels and change none.
SYMMETRIES = (keras.layers.RandomFlip, RandomRot90)


def apply_layers(layers: Sequence[keras.layers.Layer], images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Returns images float32 (B, H, W, 3) in [0, 1], transformed by each layer in turn with random numbers from the seed alone.

    The layers draw the random numbers. Rotations, flips and contrast are then applied by this project's own operations, which give the
    same pixels several times faster.
    """
    # A rotation and the flips and quarter turns after it are applied together: this is their map so far, see `move`.
    turned = None
    for number, layer in _moves_first(layers):
        drawn = layer.get_random_transformation(images, training=True, seed=StepSeeds(tf.random.fold_in(seed, -1 - number)))
        if turned is not None and isinstance(layer, SYMMETRIES):
            size = tf.cast(tf.shape(images)[1:3], tf.float32)
            flips = isinstance(layer, keras.layers.RandomFlip)
            turned = _flipped(turned, drawn["flips"][:, 0, 0], layer.mode, size) if flips else _quartered(turned, drawn, size)
            continue
        images, turned = images if turned is None else move(images, turned), None
        if _rotates(layer):
            turned = drawn["rotation_matrix"][:, :6]
        elif type(layer) is keras.layers.RandomFlip:
            ways = {"horizontally": "horizontal" in layer.mode, "vertically": "vertical" in layer.mode}
            images = flip_some(images, drawn["flips"][:, 0, 0, 0], **ways)
        else:
            images = _recolored(layer, images, drawn)
    return images if turned is None else move(images, turned)


def _moves_first(layers: Sequence[keras.layers.Layer]) -> list[tuple[int, keras.layers.Layer]]:
    """Returns the layers with their numbers, flips and quarter turns moved before changes of contrast, which gives the same pixels."""
    order: list[tuple[int, keras.layers.Layer]] = []
    for number, layer in enumerate(layers):
        position = len(order)
        while isinstance(layer, SYMMETRIES) and position and type(order[position - 1][1]) is keras.layers.RandomContrast:
            position -= 1
        order.insert(position, (number, layer))
    return order


def _rotates(layer: keras.layers.Layer) -> bool:
    """Returns whether the layer is a rotation that `move` can do."""
    settings = (getattr(layer, key, None) for key in ("fill_mode", "interpolation", "fill_value"))
    return type(layer) is keras.layers.RandomRotation and tuple(settings) == ("constant", "bilinear", 0.0)


def _flipped(maps: tf.Tensor, chosen: tf.Tensor, mode: str, size: tf.Tensor) -> tf.Tensor:
    """Returns maps (n, 6) followed by flips; `chosen` is bool (n, 1), `size` the images' height and width."""
    x, y, start = maps[:, 0::3], maps[:, 1::3], maps[:, 2::3]
    if "horizontal" in mode:
        x, start = tf.where(chosen, -x, x), tf.where(chosen, start + x * (size[1] - 1), start)
    if "vertical" in mode:
        y, start = tf.where(chosen, -y, y), tf.where(chosen, start + y * (size[0] - 1), start)
    return tf.reshape(tf.stack([x, y, start], axis=2), (-1, 6))


def _quartered(maps: tf.Tensor, turns: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Returns maps (n, 6) followed by counterclockwise quarter turns, int32 (n,), 0 to 3; `size` is height and width of square images."""
    for least in (1, 2, 3):
        x, y, start = maps[:, 0::3], maps[:, 1::3], maps[:, 2::3]
        once = tf.reshape(tf.stack([y, -x, start + x * (size[1] - 1)], axis=2), (-1, 6))
        maps = tf.where((turns >= least)[:, None], once, maps)
    return maps


def _recolored(layer: keras.layers.Layer, images: tf.Tensor, drawn: Any) -> tf.Tensor:
    """Returns images after any other layer, with black kept black if the layer changes colors."""
    if type(layer) is keras.layers.RandomContrast:
        factors = drawn["contrast_factor"][:, 0, 0, 0]
        return recolor(images, ["random_contrast"], [tf.ones_like(factors)], [factors])
    changed = layer.transform_images(images, drawn, training=True)
    return keep_black(images, changed) if type(layer).__name__ in COLOR else tf.clip_by_value(changed, 0.0, 1.0)
