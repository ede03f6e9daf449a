"""What the options of the group `explanation` build: a method that says of each place of a cell how much it speaks for parasitized."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from malaria_exp.data.seeds import to_unit
from malaria_exp.evaluation.predictions import sigmoid
from malaria_exp.utils.errors import ConfigError

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from malaria_exp.runs.saved_model import SavedModel

# Pixels up to this brightness (the largest of red, green, blue) are the black that surrounds a cell.
DARKEST = 12


@dataclass(frozen=True)
class ExplainedModel:
    """A model whose scores are explained.

    Attributes:
        network: images, float32 (B, size, size, 3) in [0, 1], to logits (B, 1), as it was trained.
        whole: the same images to calibrated logits (B, 1), averaged over the views of `evaluation.views`.
        score: cells, uint8 (N, size, size, 3), N free, to calibrated scores (N,) in [0, 1].
    """

    network: "keras.Model"
    whole: "keras.Model"
    score: Callable[[np.ndarray], np.ndarray]

    @classmethod
    def of(cls, saved: "SavedModel") -> "ExplainedModel":
        """Returns a run's model, ready to be explained."""
        import tensorflow as tf

        shape, whole = (None, *saved.model.input_shape[1:]), saved.model

        @tf.function(autograph=False, input_signature=[tf.TensorSpec(shape, tf.uint8)])
        def logits(images: "tf.Tensor") -> "tf.Tensor":
            return tf.cast(whole(to_unit(images), training=False), tf.float32)

        return cls(saved.uncalibrated, whole, lambda images: sigmoid(logits(images).numpy()[:, 0].astype(np.float64)))

    @cached_property
    def gradient(self) -> "Callable[[np.ndarray], tf.Tensor]":
        """Images, float32 (B, size, size, 3) in [0, 1], to the gradients of their calibrated logits by the pixels, of the same shape."""
        import tensorflow as tf

        @tf.function(autograph=False, input_signature=[tf.TensorSpec((None, *self.whole.input_shape[1:]), tf.float32)])
        def gradient(images: "tf.Tensor") -> "tf.Tensor":
            with tf.GradientTape() as tape:
                tape.watch(images)
                logits = self.whole(images, training=False)
            slopes = tape.gradient(logits, images)
            if slopes is None:
                raise ConfigError(
                    f"explanation: the logit of '{self.whole.name}' has no gradient by the pixels. explanation=[occlusion] works with every model."
                )
            return slopes

        found: Callable[[np.ndarray], tf.Tensor] = gradient
        return found


class Explanation(Protocol):
    """A method of explanation.

    Attributes:
        unit: what its numbers are, in a few words, for the scale beside a map.
        caption: in plain words, what a map shows and how it is made.
        least: the value that is drawn in full color where a map has none above it, so that noise stays faint.
    """

    unit: str
    caption: str
    least: float

    def __call__(self, model: ExplainedModel, images: np.ndarray) -> np.ndarray:
        """Computes a map of each cell.

        Args:
            model: whose scores are explained.
            images: the cells as the model takes them, uint8 (N, size, size, 3), N at least 1.

        Returns:
            float (N, m, m), m free: above 0 where a place speaks for parasitized, below 0 where it speaks against it.

        Raises:
            ConfigError: the method cannot work with this model.
        """


def inside(image: np.ndarray) -> np.ndarray:
    """Returns where the cell is, bool (height, width); outside of it all images are black."""
    return image.max(axis=2) > DARKEST
