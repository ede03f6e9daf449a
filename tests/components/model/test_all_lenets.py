"""The six ways to write LeNet: the same outputs, penalties and initial weights."""

import keras
import numpy as np
import pytest

from malaria_exp.config.registry import build, component, options
from malaria_exp.utils.errors import ConfigError

LENETS = sorted(name for name in options("model") if name.startswith("lenet_"))
OTHERS = [name for name in LENETS if name != "lenet_sequential"]
ODD = {
    "image_size": 40,
    "filters": 3,
    "filters_2": 5,
    "kernel_size": 5,
    "units": 7,
    "units_2": 4,
    "dropout": 0.5,
    "l2": 0.1,
    "momentum": 0.5,
}
IMAGES = np.random.default_rng(0).random((6, 40, 40, 3), dtype=np.float32)


def seeded(name, params):
    keras.utils.set_random_seed(3)
    return build("model", name, params)


def penalty(model):
    return sum(float(loss) for loss in model.losses)


def test_all_six_take_the_same_parameters():
    first, *others = (component("model", name).parameters for name in LENETS)
    assert len(others) == 5
    assert all(other == first for other in others)


@pytest.mark.parametrize("name", LENETS)
def test_each_has_the_parameters_of_the_notebooks_model(name):
    assert build("model", name, {}).count_params() == 4_668_297


@pytest.mark.parametrize("name", OTHERS)
def test_weights_copied_over_give_the_same_outputs_and_penalties(name):
    one, other = build("model", "lenet_sequential", ODD), build("model", name, ODD)
    rng = np.random.default_rng(1)
    weights = [rng.uniform(0.1, 1, value.shape).astype(np.float32) for value in one.get_weights()]
    for model in (one, other):
        model.set_weights(weights)
    np.testing.assert_allclose(one(IMAGES, training=False), other(IMAGES, training=False), rtol=1e-6)
    # Four kernels are penalized, at 0.1 for each unit of their squared weights.
    squares = sum(float(np.square(value).sum()) for value in weights if value.ndim > 1 and value.shape[-1] > 1)
    assert penalty(one) == pytest.approx(0.1 * squares, rel=1e-5)
    assert penalty(other) == pytest.approx(penalty(one), rel=1e-6)


@pytest.mark.parametrize("name", OTHERS)
def test_one_seed_initializes_and_trains_them_alike(name):
    # In training mode the outputs also depend on dropout, and the weights afterwards on the momentum.
    one, other = seeded("lenet_sequential", ODD), seeded(name, ODD)
    np.testing.assert_allclose(one(IMAGES, training=True), other(IMAGES, training=True), rtol=1e-5, atol=1e-6)
    for first, second in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", LENETS)
def test_fit_adds_the_penalty_to_the_loss_and_l2_of_zero_has_none(name):
    model = build("model", name, ODD)
    inputs = keras.Input(model.input_shape[1:])
    shell = keras.Model(inputs, model(inputs))
    shell.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    labels = np.ones((6, 1), np.float32)
    plain = float(keras.losses.BinaryCrossentropy(from_logits=True)(labels, model(IMAGES, training=False)))
    assert shell.evaluate(IMAGES, labels, verbose=0) == pytest.approx(plain + penalty(model), rel=1e-4)
    assert build("model", name, {**ODD, "l2": 0.0}).losses == []


@pytest.mark.parametrize("name", LENETS)
def test_kernels_too_large_for_the_image_are_refused(name):
    with pytest.raises(
        ConfigError, match=r"model\.image_size: 24 is too small for kernels of 8 pixels.* 8 pixels.* second 0\..* at least 25"
    ):
        build("model", name, {"image_size": 24, "kernel_size": 8})
    assert build("model", name, {"image_size": 25, "kernel_size": 8}).count_params() > 0
