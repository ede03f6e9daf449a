"""A network for tests that train: most of a short training's time is the making of its graph."""

import keras
from keras import layers


def small_network(l2=0.1):
    """A layer of each kind that trainers have to treat rightly: images (B, 32, 32, 3) to logits (B, 1)."""
    penalty = keras.regularizers.L2(l2) if l2 else None
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(3, 4, 4, kernel_regularizer=penalty),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(1, name="logit", dtype="float32", kernel_regularizer=penalty),
        ]
    )
