"""The eight symmetries of the square, each as likely, each image its own, and nothing but pixels moved."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from malaria_exp.config.registry import build
from malaria_exp.utils.errors import ConfigError

SEED = tf.constant([3, 4], tf.int32)


def symmetries(image):
    """All eight, by numpy's own turning and mirroring; the first is the identity."""
    return [np.rot90(flipped, turns) for flipped in (image, image[:, ::-1]) for turns in range(4)]


def which(images, results):
    """Returns the number of the symmetry that was used on each image; images must have none themselves."""
    found = []
    for image, result in zip(images, results, strict=True):
        matches = [number for number, turned in enumerate(symmetries(image)) if np.array_equal(turned, result)]
        assert len(matches) == 1
        found.append(matches[0])
    return np.array(found)


def batch(count, size=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((count, size, size, 3), np.float32), rng.random((count, 1), np.float32)


def apply(images, labels, *, seed=SEED, **params):
    got = build("aug", "dihedral", params)(tf.constant(images), tf.constant(labels), tf.constant(seed))
    return got[0].numpy(), got[1].numpy()


def test_each_of_the_eight_symmetries_is_about_equally_often():
    images, labels = batch(4000, size=3)
    used = np.bincount(which(images, apply(images, labels)[0]), minlength=8)
    # The spread of a count of 500 is 21.
    assert (np.abs(used - 500) < 5 * 21).all(), used


@pytest.mark.parametrize("p", [0.25, 0.7])
def test_p_is_the_share_that_is_treated(p):
    images, labels = batch(4000, size=3)
    used = np.bincount(which(images, apply(images, labels, p=p)[0]), minlength=8) / 4000
    expected = np.full(8, p / 8)
    expected[0] += 1 - p
    assert np.abs(used - expected).max() < 5 * 0.5 / np.sqrt(4000)


def test_images_of_a_batch_are_treated_independently():
    one = batch(1)[0]
    images = np.repeat(one, 64, axis=0)
    results = apply(images, np.zeros((64, 1), np.float32))[0]
    used = which(images, results)
    assert len(set(used.tolist())) == 8
    # Neighbors neither agree nor alternate.
    assert 0 < (used[1:] == used[:-1]).mean() < 0.5


def test_other_seeds_treat_the_same_image_otherwise():
    images, labels = batch(1)
    used = [which(images, apply(images, labels, seed=[0, number])[0])[0] for number in range(60)]
    assert set(used) == set(range(8))


@given(st.integers(1, 6), st.integers(1, 9), st.floats(0, 1), st.integers(-(2**31), 2**31 - 1))
@settings(max_examples=15, deadline=None)
def test_pixels_are_only_moved_and_labels_are_kept(count, size, p, seed):
    images, labels = batch(count, size)
    results, kept = apply(images, labels, p=p, seed=[seed, 1])
    assert results.dtype == kept.dtype == np.float32
    assert results.shape == images.shape
    assert np.array_equal(kept, labels)
    for image, result in zip(images, results, strict=True):
        # Whole pixels: the three colors of one stay together.
        assert sorted(map(tuple, image.reshape(-1, 3).tolist())) == sorted(map(tuple, result.reshape(-1, 3).tolist()))
    assert results.min() >= 0
    assert results.max() <= 1


def test_p_0_is_the_identity_bit_for_bit():
    images, labels = batch(200)
    results, kept = apply(images, labels, p=0)
    assert results.tobytes() == images.tobytes()
    assert kept.tobytes() == labels.tobytes()


def test_the_same_seed_gives_the_same_eagerly_in_a_graph_and_in_tf_data():
    images, labels = batch(40)
    augment = build("aug", "dihedral", {"p": 0.8})
    eager = apply(images, labels, p=0.8)[0]
    graph = tf.function(augment)(images, labels, SEED)[0].numpy()
    any_size = tf.function(
        augment, input_signature=[tf.TensorSpec((None, None, None, 3)), tf.TensorSpec((None, 1)), tf.TensorSpec((2,), tf.int32)]
    )(images, labels, SEED)[0].numpy()
    several = tf.data.Dataset.from_tensors((images, labels, SEED)).repeat(3).map(augment, num_parallel_calls=3)
    assert np.array_equal(eager, graph)
    assert np.array_equal(eager, any_size)
    for piped, _ in several:
        assert np.array_equal(eager, piped)
    assert not np.array_equal(eager, apply(images, labels, p=0.8, seed=[3, 5])[0])


@pytest.mark.parametrize("p", [-0.1, 1.1, "often"])
def test_p_is_a_probability(p):
    with pytest.raises(ConfigError, match=r"aug\.p: expected a number"):
        build("aug", "dihedral", {"p": p})
