"""What a detector of foreign images looks at: statistics of the image, and what the model computes of it at several depths.

All are plain operations, so that TensorFlow, ONNX and LiteRT hold them. It imports TensorFlow: import it late.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from malaria_exp.evaluation.layer_calls import Call, replaced_calls

IMAGE_PARTS = ("the outline of the cell and the black around it", "the color of the stain", "sharpness")
# As many as are looked at: early layers notice other things than late ones.
MODEL_PARTS = tuple(f"{depth} features of the model" for depth in ("early", "middle", "late", "last"))
# Values of a feature vector: fewer say too little, more are the pixels of a flattened map.
FEWEST, MOST = 4, 2048
# A pixel is black if no channel is above it, as lossy files have no pure black. Between two values that four pixels can have on average, so
# that rounding never decides.
BLACK = 12.125 / 255
# The Haar wavelet: the mean of 2 x 2 pixels, and their differences from left to right, from top to bottom, and across.
HAAR = (
    np.array([[[1, 1], [1, 1]], [[1, -1], [1, -1]], [[1, 1], [-1, -1]], [[1, -1], [-1, 1]]], np.float32).transpose(1, 2, 0)[:, :, None] / 4
)
# Of an image: the mean of each channel, and the differences of gray, in one convolution.
HAAR_OF_COLORS = np.concatenate([HAAR[..., :1] * np.eye(3, dtype=np.float32), HAAR[..., 1:].repeat(3, axis=2) / 3], axis=3)
# A logarithm of less is that of this: the noise of 8 bits.
LEAST_DETAIL, LEAST_VARIANCE = 1e-3, 1e-6


def image_features(images: tf.Tensor) -> list[tf.Tensor]:
    """Returns the features of each of IMAGE_PARTS, float32 (B, D).

    Args:
        images: float32 (B, size, size, 3) in [0, 1], size at least 16.
    """
    found = tf.nn.conv2d(images, HAAR_OF_COLORS, 2, "VALID")
    pixels, details = found[..., :3], found[..., 3:]
    brightest = tf.reduce_max(pixels, axis=3, keepdims=True)
    cell = tf.cast(brightest > BLACK, tf.float32)
    filled = _mean(cell)
    return [_outline(cell, filled), _color(pixels, brightest, cell, filled), _sharpness(pixels, details, cell)]


def _mean(values: tf.Tensor) -> tf.Tensor:
    """Returns the mean over the pixels of each channel, (B, C)."""
    return tf.reduce_mean(values, axis=[1, 2])


def _outline(cell: tf.Tensor, filled: tf.Tensor) -> tf.Tensor:
    """Returns how much of the image is not black, and of its edges, corners and middle, and how long the border between both is."""
    middle, corner = cell.shape[1] // 4, max(1, cell.shape[1] // 8)
    edges = _mean(cell[:, :1]) + _mean(cell[:, -1:]) + _mean(cell[:, :, :1]) + _mean(cell[:, :, -1:])
    left, right = cell[:, :, :corner], cell[:, :, -corner:]
    corners = _mean(left[:, :corner]) + _mean(left[:, -corner:]) + _mean(right[:, :corner]) + _mean(right[:, -corner:])
    border = _mean(tf.abs(cell[:, 1:] - cell[:, :-1])) + _mean(tf.abs(cell[:, :, 1:] - cell[:, :, :-1]))
    return tf.concat([filled, edges, corners, _mean(cell[:, middle:-middle, middle:-middle]), tf.sqrt(border)], axis=1)


def _color(pixels: tf.Tensor, brightest: tf.Tensor, cell: tf.Tensor, filled: tf.Tensor) -> tf.Tensor:
    """Returns the mean color of what is not black, how colorful it is, and how much both, and the hue, vary."""
    red, green, blue = pixels[..., :1], pixels[..., 1:2], pixels[..., 2:]
    colorful = brightest - tf.reduce_min(pixels, axis=3, keepdims=True)
    values = tf.concat([pixels, colorful, red - green, blue - green], axis=3) * cell
    mean = _mean(values) / (filled + LEAST_DETAIL)
    variance = _mean(tf.square(values)) / (filled + LEAST_DETAIL) - tf.square(mean)
    return tf.concat([mean[:, :4], tf.math.log(tf.maximum(variance, 0.0) + LEAST_VARIANCE)], axis=1)


def _sharpness(pixels: tf.Tensor, details: tf.Tensor, cell: tf.Tensor) -> tf.Tensor:
    """Returns logarithms of the mean differences of neighboring pixels inside of the cell, in three directions at three scales."""
    gray = tf.reduce_mean(pixels, axis=3, keepdims=True)
    # Away from the outline, which is sharp in every image.
    inside = -tf.nn.max_pool2d(-cell, 3, 1, "SAME")
    found = [_mean(tf.abs(details) * inside) / (_mean(inside) + LEAST_DETAIL)]
    for _ in range(2):
        inside = -tf.nn.max_pool2d(-inside, 2, 2, "VALID")
        level = tf.nn.conv2d(gray, HAAR, 2, "VALID")
        gray = level[..., :1]
        found.append(_mean(tf.abs(level[..., 1:]) * inside) / (_mean(inside) + LEAST_DETAIL))
    return tf.math.log(tf.concat(found, axis=1) + LEAST_DETAIL)


def choose_taps(model: keras.Model) -> tuple[int, ...]:
    """Returns which calls of layers, by their number, have inputs that are looked at, from the first to the last.

    They are evenly spaced over the calls whose input is a feature map, tokens or a feature vector, and the last is the last layer's. It
    works for any model whose layers are Keras', also a subclassed one; a model that hides all of them has none.
    """
    image = tf.zeros((1, *model.input_shape[1:]))
    with _inputs_of_layers(model) as seen:
        model(image, training=False)
    candidates: list[int] = []
    known: set[int] = set()
    for number, tensor in enumerate(seen):
        # A layer that holds others begins with the same tensor as the first of them.
        if isinstance(tensor, tf.Tensor) and id(tensor) not in known and tensor.dtype.is_floating and tensor.shape.rank in (2, 3, 4):
            known.add(id(tensor))
            if FEWEST <= tensor.shape[-1] <= MOST:
                candidates.append(number)
    places = {round((step + 1) * len(candidates) / len(MODEL_PARTS)) - 1 for step in range(len(MODEL_PARTS))}
    return tuple(candidates[place] for place in sorted(places) if place >= 0)


def parts_of(taps: Sequence[int]) -> tuple[str, ...]:
    """Returns the parts of a detector in words."""
    return IMAGE_PARTS + MODEL_PARTS[len(MODEL_PARTS) - len(taps) :]


def features(
    model: keras.Model, taps: Sequence[int], images: tf.Tensor, score: Callable[[tf.Tensor], tf.Tensor] | None = None
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Scores images, and returns what was seen on the way.

    Args:
        model: that `taps` were chosen of.
        taps: see `choose_taps`.
        images: float32 (B, size, size, 3) in [0, 1].
        score: what is computed, which calls the model once; the model itself if it is not given.

    Returns:
        What `score` gives, and the features of the detector's parts, each float32 (B, D); those of the model are means over the image.
    """
    with _inputs_of_layers(model) as seen:
        scored = score(images) if score else model(images, training=False)
    with tf.name_scope("detector"):
        return scored, [*image_features(images), *(_mean_of_all(seen[number]) for number in taps)]


def _mean_of_all(tensor: tf.Tensor) -> tf.Tensor:
    """Returns the mean over all axes but the first and the last, in float32."""
    return tf.reduce_mean(tf.cast(tensor, tf.float32), axis=list(range(1, tensor.shape.rank - 1)))


@contextmanager
def _inputs_of_layers(model: keras.Model) -> Iterator[list[Any]]:
    """Gives a list that holds the first argument of every call of a layer inside the block, in the order in which the calls begin."""
    seen: list[Any] = []

    def noting(_: keras.Layer, original: Call) -> Call:
        def call(*args: Any, **kwargs: Any) -> Any:
            seen.append(args[0] if args else None)
            return original(*args, **kwargs)

        return call

    with replaced_calls(model, noting):
        yield seen
