"""A model with its detector of foreign images as one Keras model. It imports Keras: import it late."""

from typing import Any

import keras
import tensorflow as tf

from malaria_exp.evaluation.logit_map import LogitMap
from malaria_exp.evaluation.ood import Detector, Part
from malaria_exp.training.calibrated_model import with_calibration
from malaria_exp.training.ood_features import features
from malaria_exp.training.views import with_views

FARTHEST = 1e15


class ModelWithOod(keras.Model):
    """Images float32 (B, size, size, 3) in [0, 1] to {"logit": calibrated, float32 (B, 1), "ood": OOD scores, float32 (B, P)}.

    It is made to be called and exported, not to be saved by Keras.

    Args:
        model: the uncalibrated model.
        calibration: of its logits.
        detector: fitted to the model's features; without one there is no "ood".
        views: over how many views of an image the logits are averaged; the detector looks at the image as it is.
    """

    def __init__(self, model: keras.Model, calibration: LogitMap, detector: Detector | None, views: int = 1) -> None:
        super().__init__(name=f"{model.name}_with_ood")
        self.model, self.detector, self.views = model, detector, views
        self.whole = with_calibration(with_views(model, views), calibration)
        self.built = True

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of the images."""
        shape: tuple[int | None, ...] = self.model.input_shape
        return shape

    def call(self, images: Any) -> dict[str, Any]:
        """Returns the logits and the OOD scores."""
        if self.detector is None:
            return {"logit": tf.cast(self.whole(images, training=False), tf.float32)}
        if self.views == 1:
            logits, found = features(self.model, self.detector.taps, images, lambda x: self.whole(x, training=False))
        else:
            logits, (_, found) = self.whole(images, training=False), features(self.model, self.detector.taps, images)
        # The name by which what converts a graph knows the detector's operations.
        with tf.name_scope("detector"):
            scores = tf.concat([_scores(part, values) for part, values in zip(self.detector.parts, found, strict=True)], axis=1)
        return {"logit": tf.cast(logits, tf.float32), "ood": scores}


def with_ood(model: keras.Model, calibration: LogitMap, detector: Detector | None, views: int = 1) -> ModelWithOod:
    """Returns a model of the same weights that gives {"logit": (B, 1), "ood": (B, P)}, both float32, the latter only with a detector; see `ModelWithOod`."""
    return ModelWithOod(model, calibration, detector, views)


def _scores(part: Part, values: tf.Tensor) -> tf.Tensor:
    """Returns a part's scores, float32 (B, 1): `Part.scores`."""
    # Held far below the largest float32, of which the squares would be infinite.
    found = tf.clip_by_value(tf.matmul(values - part.center, part.weights), -FARTHEST, FARTHEST)
    lengths = (part.points**2).sum(axis=1)
    squares = tf.reduce_sum(tf.square(found), axis=1, keepdims=True) + lengths - 2.0 * tf.matmul(found, part.points.T)
    return tf.sqrt(tf.maximum(tf.reduce_min(squares, axis=1, keepdims=True), 0.0))
