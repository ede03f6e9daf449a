"""What holds for every optimizer, and what sets them apart."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import build, component, options
from malaria_exp.utils.errors import ConfigError

LENGTH = RunLength(epochs=1, steps_per_epoch=10, batch_size=8)
OPTIMIZERS = sorted(options("optimizer"))
DECAYING = [name for name in OPTIMIZERS if "weight_decay" in component("optimizer", name).parameters]


def make(name, schedule="constant", **params):
    return build("optimizer", name, params, build("schedule", schedule, {}, LENGTH))


def variable(value, name="kernel"):
    return keras.Variable(np.asarray(value, np.float32), name=name)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_walks_downhill(name):
    weight = variable([3.0, -2.0])
    optimizer = make(name, learning_rate=0.1)
    optimizer.build([weight])
    for _ in range(60):
        optimizer.apply([tf.constant(2 * weight.numpy())], [weight])
    assert np.abs(weight.numpy()).max() < 0.5


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_its_rate_follows_the_schedule(name):
    optimizer = make(name, schedule="cosine", learning_rate=0.5)
    weight = variable([0.0])
    optimizer.build([weight])
    factor = build("schedule", "cosine", {}, LENGTH)
    for step in range(LENGTH.steps):
        assert float(optimizer.learning_rate) == pytest.approx(0.5 * float(factor(step)), abs=1e-6)
        optimizer.apply([tf.constant([1.0])], [weight])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_key_reaches_keras(name):
    names = {"clip_norm": "global_clipnorm", "beta_1": "adam_beta_1", "beta_2": "adam_beta_2"}
    for number, (key, parameter) in enumerate(component("optimizer", name).parameters.items()):
        if key != "learning_rate":
            value = not parameter.default if isinstance(parameter.default, bool) else 0.125 + number / 100
            optimizer = make(name, **{key: value})
            assert getattr(optimizer, key, getattr(optimizer, names.get(key, key), None)) == value, key


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_gradients_are_clipped_to_their_norm_all_together(name):
    gradients = [np.array([3.0, 0.0], np.float32), np.array([[0.0], [4.0]], np.float32)]

    def moved(scale, clip_norm):
        weights = [variable([1.0, 1.0]), variable([[1.0], [1.0]])]
        optimizer = make(name, clip_norm=clip_norm)
        optimizer.build(weights)
        # A first small step, so that optimizers that look only at the direction have something to compare with.
        for factor in (0.01, scale):
            optimizer.apply([tf.constant(factor * gradient) for gradient in gradients], weights)
        return np.concatenate([weight.numpy().ravel() for weight in weights])

    # The norm over both is 5: clipped to 1, they are a fifth of what they were, and keep their direction.
    np.testing.assert_allclose(moved(1.0, clip_norm=1.0), moved(0.2, clip_norm=None), rtol=1e-5)
    np.testing.assert_array_equal(moved(1.0, clip_norm=6.0), moved(1.0, clip_norm=None))
    if name != "lion":
        assert not np.array_equal(moved(1.0, clip_norm=1.0), moved(1.0, clip_norm=None))


@pytest.fixture(scope="module")
def model():
    """A model with every kind of weight that does not decay."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, bias_initializer="ones"),
            layers.BatchNormalization(beta_initializer="ones"),
            layers.DepthwiseConv2D(3, bias_initializer="ones"),
            layers.GroupNormalization(2, beta_initializer="ones"),
            layers.Flatten(),
            layers.Dense(6, bias_initializer="ones"),
            layers.LayerNormalization(beta_initializer="ones"),
            layers.RMSNormalization(),
            layers.Dense(1, bias_initializer="ones"),
        ]
    )


@pytest.mark.parametrize("name", DECAYING)
def test_kernels_decay_and_neither_biases_nor_normalizations(name, model):
    weights = model.trainable_variables
    before = [weight.numpy().copy() for weight in weights]
    make(name, learning_rate=0.1, weight_decay=0.5).apply([tf.zeros(weight.shape) for weight in weights], weights)
    for weight, old in zip(weights, before, strict=True):
        # Without a gradient only decay moves a weight: by learning rate x decay x weight.
        kernel = weight.name == "kernel"
        np.testing.assert_allclose(weight.numpy(), old * (0.95 if kernel else 1), rtol=1e-5, err_msg=weight.path)
    assert sum(weight.name == "kernel" for weight in weights) == 4
    assert len(weights) == 4 + 4 + 6 + 1


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_running_mean_that_forgets_nothing_is_refused(name):
    """Decayed by 1 it never moves off 0; divided by 1 - 1^t to make up for that, it is 0 / 0."""
    for key in {"beta_1", "beta_2", "momentum", "rho"} & set(component("optimizer", name).parameters):
        with pytest.raises(ConfigError, match=rf"optimizer\.{key}: expected a number .* and < 1, received 1"):
            make(name, **{key: 1})


def test_only_adam_has_no_decay():
    assert sorted(set(OPTIMIZERS) - set(DECAYING)) == ["adam"]
    assert make("adam").weight_decay is None


@pytest.mark.parametrize("nesterov", [True, False])
def test_sgd_keeps_momentum(nesterov):
    weight = variable([0.0])
    optimizer = make("sgd", learning_rate=1.0, weight_decay=0.0, momentum=0.5, nesterov=nesterov)
    optimizer.build([weight])
    places = []
    for gradient in (1.0, 0.0, 0.0):
        optimizer.apply([tf.constant([gradient])], [weight])
        places.append(float(weight.numpy()[0]))
    assert places == ([-1.5, -1.75, -1.875] if nesterov else [-1.0, -1.5, -1.75])


def test_lion_moves_every_weight_alike():
    weight = variable([1.0, 1.0, 1.0])
    optimizer = make("lion", learning_rate=0.25, weight_decay=0.0)
    optimizer.build([weight])
    optimizer.apply([tf.constant([1e-6, -5.0, 0.0])], [weight])
    np.testing.assert_allclose(weight.numpy(), [0.75, 1.25, 1.0])


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (3, 3, 2, 5), (2, 1, 2, 9)])
def test_muon_orthogonalizes_dense_and_convolution_kernels(shape):
    rng = np.random.default_rng(0)
    weight = variable(np.zeros(shape))
    optimizer = make("muon", learning_rate=1.0, weight_decay=0.0)
    optimizer.build([weight])
    optimizer.apply([tf.constant(rng.normal(0, 1, shape), tf.float32)], [weight])
    matrix = weight.numpy().reshape(-1, shape[-1])
    singular = np.linalg.svd(matrix / (0.2 * np.sqrt(max(matrix.shape))), compute_uv=False)
    # Five Newton-Schulz steps bring all singular values near 1 (the authors: within 0.7 to 1.2), from a spread of several times that.
    assert singular.min() > 0.6 and singular.max() < 1.3
    # A step's root mean square is about .2, as long as AdamW's.
    assert np.sqrt(np.mean(np.square(matrix))) == pytest.approx(0.2, rel=0.35)


@pytest.mark.parametrize(
    ("shape", "name"),
    [((7,), "bias"), ((7,), "gamma"), ((12, 1), "kernel"), ((3, 3, 4, 1), "kernel"), ((5, 2, 3), "kernel"), ((), "scale")],
)
def test_muon_leaves_all_else_to_adamw(shape, name):
    gradients = np.random.default_rng(1).normal(0, 1, (3, *shape))
    ends = []
    for optimizer in ("muon", "adamw"):
        weight = variable(np.ones(shape), name)
        built = make(optimizer, learning_rate=0.01, weight_decay=0.1)
        built.build([weight])
        for gradient in gradients:
            built.apply([tf.constant(gradient, tf.float32)], [weight])
        ends.append(weight.numpy())
    np.testing.assert_allclose(*ends, rtol=1e-5)
