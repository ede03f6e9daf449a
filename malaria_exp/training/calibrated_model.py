"""A model with its calibration as one Keras model. It imports Keras: import it late."""

import keras
import numpy as np
from keras import ops

from malaria_exp.evaluation.logit_map import LogitMap


def with_calibration(model: keras.Model, calibration: LogitMap) -> keras.Model:
    """Returns a model of the same weights that gives calibrated logits, float32 (B, 1); the model itself if nothing changes.

    It has no layers of this package's own, so that Keras alone reads it where it reads the model.

    Args:
        model: images to logits (B, 1), of any precision.
        calibration: the map of its logits, which is computed in float32.
    """
    if calibration.identity:
        return model
    images = keras.Input(model.input_shape[1:], name="images")
    logits = ops.cast(model(images), "float32")
    slope, first, last = calibration.slope, calibration.logits[0], calibration.logits[-1]
    if len(calibration.logits) == 1:
        offset = calibration.calibrated[0] - slope * first
        return keras.Model(images, keras.layers.Rescaling(slope, offset, dtype="float32", name="calibration")(logits), name=model.name)
    knots, widths, rises = (
        np.array(values, np.float32) for values in (calibration.logits[:-1], np.diff(calibration.logits), np.diff(calibration.calibrated))
    )
    # Between two knots the map rises from 0 to all of their difference; outside of them it stands still.
    risen = ops.multiply(ops.clip(ops.divide(ops.subtract(logits, knots), widths), 0.0, 1.0), rises)
    beyond = slope * (ops.minimum(logits - first, 0.0) + ops.maximum(logits - last, 0.0))
    return keras.Model(images, calibration.calibrated[0] + beyond + ops.sum(risen, axis=-1, keepdims=True), name=model.name)
