"""A model that looks at each image from several sides, as one Keras model. It imports Keras: import it late."""

import keras
from keras import ops


def with_views(model: keras.Model, views: int) -> keras.Model:
    """Returns a model of the same weights that gives the mean of its logits over several views, float32 (B, 1); the model itself for one.

    A cell has no side that is up, so the mean is as good an answer as each of them, and less noisy. It has no layers of this package's
    own, so that Keras alone reads it where it reads the model. It computes as many times as long.

    Args:
        model: square images (B, size, size, 3) to logits (B, 1), of any precision.
        views: 1; 2, also mirrored; 4, also upside down; or 8, also turned by 90 degrees: the whole group of the square.
    """
    if views == 1:
        return model
    images = keras.Input(model.input_shape[1:], name="images")
    seen = [images]
    for other in (lambda one: ops.flip(one, 2), lambda one: ops.flip(one, 1), lambda one: ops.transpose(one, (0, 2, 1, 3))):
        if len(seen) < views:
            seen += [other(one) for one in seen]
    logits = ops.cast(model(ops.concatenate(seen, axis=0)), "float32")
    return keras.Model(images, ops.mean(ops.reshape(logits, (views, -1, 1)), axis=0), name=model.name)
