"""What holds for every loss: one number a cell, sample weights, soft labels, huge logits, bfloat16, and a description to rebuild it by."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from malaria_exp.config.registry import build, options

LOSSES = sorted(options("loss"))
CUSTOM = ["custom_bce_class", "custom_bce_factory", "custom_bce_function"]
TRAINING = np.array([1, 0, 0, 0], np.int8)
logits_of_batch = hnp.arrays(np.float32, (6, 1), elements=st.floats(-500, 500, width=32))
labels_of_batch = hnp.arrays(np.float32, (6, 1), elements=st.floats(0, 1, width=32))


def make(name, **params):
    return build("loss", name, params, TRAINING)


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    return rng.integers(0, 2, (50, 1)).astype(np.float32), rng.normal(0, 3, (50, 1)).astype(np.float32)


@pytest.mark.parametrize("name", LOSSES)
def test_one_loss_a_cell_and_their_mean(name, batch):
    loss = make(name)
    each = np.asarray(loss.call(*batch))
    assert each.shape == (50,)
    assert float(loss(*batch)) == pytest.approx(each.mean(), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_bce_is_cross_entropy_of_smoothed_labels_from_logits(smoothing, batch):
    labels, logits = batch[0] * (1 - smoothing) + smoothing / 2, batch[1]
    by_hand = np.mean(np.log1p(np.exp(-np.abs(logits))) + np.maximum(logits, 0) - logits * labels)
    assert float(make("bce", label_smoothing=smoothing)(*batch)) == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_sample_weights_count(name, batch):
    loss = make(name)
    weights = np.random.default_rng(1).random(50).astype(np.float32)
    expected = np.mean(np.asarray(loss.call(*batch)) * weights)
    assert float(loss(*batch, sample_weight=weights)) == pytest.approx(expected, rel=1e-5)
    assert float(loss(*batch, sample_weight=weights[:, None])) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=40, deadline=None)
@given(labels=labels_of_batch, logits=logits_of_batch)
def test_losses_and_gradients_are_finite_and_losses_not_negative(name, labels, logits):
    loss, logits = make(name), tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        each = loss.call(tf.constant(labels), logits)
    assert np.isfinite(each).all() and np.min(each) >= 0 and np.isfinite(tape.gradient(each, logits)).all()


@pytest.mark.parametrize("name", LOSSES)
def test_the_cells_predicted_worst_keep_their_gradient(name):
    loss, logits = make(name), tf.constant([[-100.0], [100.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        each = loss.call(tf.constant([[1.0], [0.0]]), logits)
    gradient = tape.gradient(each, logits).numpy().ravel()
    assert gradient[0] < -0.5 and gradient[1] > 0.5


@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=25, deadline=None)
@given(labels=labels_of_batch, logits=logits_of_batch)
def test_a_soft_label_mixes_the_losses_of_both_classes_in_its_fractions(name, labels, logits):
    loss = make(name)
    positive, negative = np.asarray(loss.call(np.ones_like(labels), logits)), np.asarray(loss.call(np.zeros_like(labels), logits))
    mixed = labels[:, 0] * positive + (1 - labels[:, 0]) * negative
    np.testing.assert_allclose(loss.call(labels, logits), mixed, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_bfloat16_logits_are_computed_in_float32(name, batch):
    labels, logits = batch[0], tf.cast(100 * batch[1], tf.bfloat16)
    loss = make(name)
    assert loss(labels, logits).dtype == tf.float32
    assert float(loss(labels, logits)) == float(loss(labels, tf.cast(logits, tf.float32)))


@pytest.mark.parametrize(
    ("name", "params"),
    [
        *((name, {}) for name in LOSSES),
        ("weighted_bce", {"positive_weight": 3, "label_smoothing": 0.2}),
        ("focal", {"gamma": 0.5, "alpha": 0.3, "label_smoothing": 0.2}),
        ("custom_bce_class", {"factor": 2}),
        ("custom_bce_factory", {"factor": 2}),
    ],
)
def test_its_description_rebuilds_it(name, params, batch):
    loss = make(name, **params)
    again = type(loss).from_config(loss.get_config())
    description = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    if not type(loss).__module__.startswith("keras."):
        # Keras finds an unregistered class by importing its module, which reading a file must not do.
        assert keras.saving.get_registered_object(description["registered_name"]) is type(loss)
    stored = keras.saving.deserialize_keras_object(description, safe_mode=True)
    assert float(again(*batch)) == float(stored(*batch)) == float(loss(*batch))


@pytest.mark.parametrize("name", LOSSES)
def test_it_trains_in_a_graph_with_sample_weights(name):
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    points = rng.normal(0, 1, (64, 2)).astype(np.float32)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.5), make(name))
    labels = (points[:, :1] > 0).astype(np.float32)
    # The second half is mislabeled and weighs nothing.
    labels[32:] = 1 - labels[32:]
    weights = np.repeat([1.0, 0.0], 32)
    for _ in range(30):
        model.train_on_batch(points, labels, sample_weight=weights)
    assert np.mean((model(points[:32]).numpy() > 0) == (labels[:32] > 0.5)) > 0.9


@pytest.mark.parametrize("name", CUSTOM)
@settings(max_examples=25, deadline=None)
@given(labels=labels_of_batch, logits=logits_of_batch)
def test_the_three_ways_give_the_numbers_of_keras(name, labels, logits):
    reference = keras.losses.BinaryCrossentropy(from_logits=True)
    np.testing.assert_allclose(make(name).call(labels, logits), reference.call(labels, logits), rtol=1e-6)
    assert float(make(name)(labels, logits)) == pytest.approx(float(reference(labels, logits)), rel=1e-6)


@pytest.mark.parametrize("name", ["custom_bce_class", "custom_bce_factory"])
def test_the_factor_multiplies(name, batch):
    assert float(make(name, factor=2.5)(*batch)) == pytest.approx(2.5 * float(make(name)(*batch)), rel=1e-6)
