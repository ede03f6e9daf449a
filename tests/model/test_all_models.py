"""What holds for every model of the registry."""

import numpy as np
import pytest

from malaria_exp.registry import build, options

SMALL = {"image_size": 32}
MODELS = sorted(options("model"))


@pytest.fixture(autouse=True)
def plain_precision():
    import keras

    keras.config.set_dtype_policy("float32")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_logits_are_float32_and_single(name, policy):
    import keras

    keras.config.set_dtype_policy(policy)
    model = build("model", name, SMALL)
    logits = model(np.random.default_rng(0).random((3, 32, 32, 3), dtype=np.float32), training=False)
    assert logits.shape == (3, 1)
    assert str(logits.dtype).endswith("float32'>")
    # Not squashed: a sigmoid at the end would be applied twice.
    assert type(model.layers[-1]).__name__ == "Dense"
    assert model.layers[-1].activation.__name__ == "linear"


@pytest.mark.parametrize("name", MODELS)
def test_saved_loaded_and_predicting_the_same(name, tmp_path):
    import keras

    model = build("model", name, SMALL)
    images = np.random.default_rng(1).random((4, 32, 32, 3), dtype=np.float32)
    expected = model(images, training=False).numpy()
    model.save(tmp_path / "model.keras")
    whole = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(whole(images, training=False).numpy(), expected)
    again = build("model", name, SMALL)
    again.load_weights(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(images, training=False).numpy(), expected)


@pytest.mark.parametrize("name", MODELS)
def test_every_weight_gets_a_gradient(name):
    import tensorflow as tf

    model = build("model", name, SMALL)
    images = tf.constant(np.random.default_rng(2).random((8, 32, 32, 3), dtype=np.float32))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(model(images, training=True) - tf.constant(np.arange(8, dtype=np.float32)[:, None])))
    gradients = tape.gradient(loss, model.trainable_variables)
    dead = [variable.path for variable, gradient in zip(model.trainable_variables, gradients, strict=True) if gradient is None]
    assert dead == []
