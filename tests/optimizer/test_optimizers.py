"""What holds for every optimizer, and what sets them apart."""

import numpy as np
import pytest

from malaria_exp.durations import RunLength
from malaria_exp.registry import build, options

LENGTH = RunLength(epochs=1, steps_per_epoch=10, batch_size=8)
OPTIMIZERS = sorted(options("optimizer"))


def make(name, schedule="constant", **params):
    return build("optimizer", name, params, build("schedule", schedule, {}, LENGTH))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_walks_downhill(name):
    import keras
    import tensorflow as tf

    weight = keras.Variable(np.array([3.0, -2.0], np.float32), name="kernel")
    optimizer = make(name, learning_rate=0.1)
    optimizer.build([weight])
    for _ in range(60):
        optimizer.apply([tf.constant(2 * weight.numpy())], [weight])
    assert np.abs(weight.numpy()).max() < 0.5


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_its_rate_follows_the_schedule(name):
    import keras
    import tensorflow as tf

    optimizer = make(name, schedule="cosine", learning_rate=0.5)
    weight = keras.Variable(np.zeros(1, np.float32), name="kernel")
    optimizer.build([weight])
    factor = build("schedule", "cosine", {}, LENGTH)
    for step in range(LENGTH.steps):
        assert float(optimizer.learning_rate) == pytest.approx(0.5 * float(factor(step)), abs=1e-6)
        optimizer.apply([tf.constant([1.0])], [weight])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_gradients_are_clipped_to_their_norm(name):
    optimizer = make(name, clipnorm=1.0)
    assert optimizer.clipnorm == 1.0


def test_adamw_decays_kernels_but_neither_biases_nor_normalisations():
    import tensorflow as tf

    model = build("model", "cellnet", {"image_size": 32, "stem": 4, "widths": [4]})
    before = {variable.path: variable.numpy().copy() for variable in model.trainable_variables}
    optimizer = make("adamw", learning_rate=0.1, weight_decay=0.5)
    optimizer.apply([tf.zeros(variable.shape) for variable in model.trainable_variables], model.trainable_variables)
    for variable in model.trainable_variables:
        # Without a gradient only decay moves a weight: by learning rate x decay x weight.
        expected = before[variable.path] * (1 - 0.1 * 0.5 if variable.name == "kernel" else 1)
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-5, err_msg=variable.path)


def test_adam_does_not_decay():
    assert make("adam").weight_decay is None
