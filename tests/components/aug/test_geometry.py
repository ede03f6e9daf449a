"""Moved and cropped images: the pixels are those of TensorFlow's own operation, whatever else is in the batch, with XLA and without."""

import numpy as np
import pytest
import tensorflow as tf
from aug_tools import noise

from malaria_exp.components.aug import _compiled
from malaria_exp.components.aug._compiled import TOGETHER, compiled
from malaria_exp.components.aug._geometry import crop, move


def maps(count, seed=0):
    rng = np.random.default_rng(seed)
    one = np.array([1, 0, 0, 0, 1, 0]) + rng.uniform(-1, 1, (count, 6)) * [0.5, 0.5, 4, 0.5, 0.5, 4]
    return one.astype(np.float32)


@pytest.mark.parametrize("count", [0, 1, TOGETHER - 1, TOGETHER, TOGETHER + 1])
def test_as_tensorflow_moves_them(count):
    images, by = noise(count, 13)[0], maps(count)
    theirs = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=np.pad(by, ((0, 0), (0, 2))),
        output_shape=[13, 13],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    np.testing.assert_allclose(move(images, by), theirs, atol=2e-5)


def test_neighbors_make_no_difference():
    images, by = noise(2 * TOGETHER + 3, 12)[0], maps(2 * TOGETHER + 3)
    whole = move(images, by).numpy()
    for first, last in ((0, 1), (5, 9), (TOGETHER, 2 * TOGETHER + 3)):
        assert np.array_equal(move(images[first:last], by[first:last]), whole[first:last])


def test_the_map_that_moves_nothing_is_the_identity_bit_for_bit():
    images = noise(5)[0]
    assert move(images, np.tile(np.float32([1, 0, 0, 0, 1, 0]), (5, 1))).numpy().tobytes() == images.tobytes()


@pytest.mark.parametrize("size", [8, 41, 64, 224])
def test_no_edge_of_a_crop_is_black(size):
    """TensorFlow paints what is rounded to beyond the last pixel black."""
    images = tf.ones((64, size, size, 3))
    rng = np.random.default_rng(size)
    width = rng.uniform(0.3, 1, 64)
    # All of them reach the far edges, by sums that may be rounded up.
    left, right = (np.float32(line) for line in (1 - width, 1 - width + width))
    got = crop(images, tf.range(64), left, right, left, right)
    np.testing.assert_allclose(got, 1, atol=1e-6)


def test_a_tensorflow_without_xla_goes_without(monkeypatch):
    real = tf.function

    def refuse(function=None, jit_compile=None, **others):
        made = real(function, **others)
        if not jit_compile:
            return made

        def fail(*_):
            raise tf.errors.UnimplementedError(None, None, "no XLA here")

        return fail

    monkeypatch.setattr(tf, "function", refuse)
    _compiled._has_xla.cache_clear()
    try:
        without = compiled(lambda numbers: numbers * 2, tf.TensorSpec((None,)))
        assert not _compiled._has_xla()
    finally:
        _compiled._has_xla.cache_clear()
    assert without(np.float32([1, 2])).numpy().tolist() == [2, 4]
