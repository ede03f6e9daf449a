"""What holds for every model of the registry."""

import json
import subprocess
import sys
from functools import lru_cache

import keras
import numpy as np
import pytest
import tensorflow as tf

from malaria_exp.config.registry import build, options
from malaria_exp.utils.errors import ConfigError

SMALL = {"image_size": 32}
# An ensemble is made of finished runs: test_ensemble.py.
MODELS = sorted(set(options("model")) - {"ensemble"})


# The backbone of fewest layers; test_transfer.py has the others.
OWN = {"resnet_functional": {"width": 4}, "resnet_subclassed": {"width": 4}, "transfer": {"backbone": "vgg16"}, "vit": {"depth": 2}}


def params_of(name):
    return SMALL | OWN.get(name, {})


@lru_cache
def made(name, policy="float32"):
    """The net, its weights as tests before left them; what a test asserts holds for any."""
    keras.config.set_dtype_policy(policy)
    return build("model", name, params_of(name))


@pytest.fixture(autouse=True)
def plain_precision():
    keras.config.set_dtype_policy("float32")
    yield
    keras.config.set_dtype_policy("float32")


def images(count, seed=0, size=32):
    return np.random.default_rng(seed).random((count, size, size, 3), dtype=np.float32)


def unsettle(model, seed=0):
    """Moves every weight off its first value: zeros and ones would hide one that is lost or swapped."""
    rng = np.random.default_rng(seed)
    model.set_weights([value + rng.uniform(0, 0.1, value.shape).astype(value.dtype) for value in model.get_weights()])


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_logits_are_float32_and_single(name, policy):
    model = made(name, policy)
    # Before the first call: a model comes out with its weights, and knows its input.
    assert model.count_params() > 0 and tuple(model.input_shape) == (None, 32, 32, 3)
    logits = model(images(3), training=False)
    assert logits.shape == (3, 1) and str(logits.dtype).endswith("float32'>")
    assert {str(weight.dtype) for weight in model.trainable_variables} == {"float32"}
    # Not squashed, as a sigmoid at the end would be applied twice: the last bias moves the logit one for one, any way and far.
    bias = next(weight for weight in model.weights if weight.path.endswith("logit/bias"))
    for shift in (-40.0, 40.0):
        bias.assign([shift])
        np.testing.assert_allclose(model(images(3), training=False), logits.numpy() + shift, atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_saved_loaded_and_predicting_the_same(name, tmp_path):
    model = made(name, "mixed_bfloat16")
    unsettle(model)
    expected = model(images(4), training=False).numpy()
    model.save(tmp_path / "model.keras")
    # The file alone says in which precision it computes.
    keras.config.set_dtype_policy("float32")
    whole = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    np.testing.assert_array_equal(whole(images(4), training=False).numpy(), expected)


@pytest.mark.parametrize("name", MODELS)
def test_every_weight_gets_a_gradient_through_the_shell_that_is_fitted(name):
    model = made(name)
    inputs = keras.Input(model.input_shape[1:])
    shell = keras.Model(inputs, model(inputs))
    assert len(shell.trainable_variables) == len(model.trainable_variables) > 0
    with tf.GradientTape() as tape:
        logits = shell(tf.constant(images(8, seed=2)), training=True)
        loss = tf.reduce_sum(tf.square(logits - tf.constant(np.arange(8, dtype=np.float32)[:, None])))
    gradients = tape.gradient(loss, model.trainable_variables)
    dead = [variable.path for variable, gradient in zip(model.trainable_variables, gradients, strict=True) if gradient is None]
    assert dead == []


@pytest.mark.parametrize("name", MODELS)
def test_training_and_inference_differ_where_the_model_says_so(name):
    # Dropout or the batch's own statistics: a `training` that is lost on the way down would turn both off.
    model = made(name)
    unsettle(model)
    assert np.abs(model(images(8), training=True) - model(images(8), training=False)).max() > 1e-4
    np.testing.assert_array_equal(model(images(8), training=False), model(images(8), training=False))


@pytest.mark.parametrize("name", MODELS)
def test_a_tiny_picture_is_refused_by_name(name):
    with pytest.raises(ConfigError, match=r"model\.image_size: expected a whole number >= (16|32) and <= 1024, received 8"):
        build("model", name, {"image_size": 8})


def test_parameters_are_checked_without_keras():
    program = f"""
import json, sys
from malaria_exp.config.registry import check_params
sizes = {{name: check_params("model", name, {{}})["image_size"] for name in {MODELS}}}
print(json.dumps([sizes, [name for name in ("keras", "tensorflow") if name in sys.modules]]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    sizes, imported = json.loads(done.stdout)
    assert list(sizes) == MODELS
    assert imported == []
