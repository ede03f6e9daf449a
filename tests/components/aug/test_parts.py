"""What is compiled for a few rows at a time gives the same for any number of rows, with XLA and without."""

import numpy as np
import pytest
import tensorflow as tf

from malaria_exp.components.aug import _parts
from malaria_exp.components.aug._parts import TOGETHER, compiled, in_parts


def twice(images, more):
    return images * 2 + more[:, None]


SIGNATURE = (tf.TensorSpec((None, 5)), tf.TensorSpec((None,)))


@pytest.mark.parametrize("rows", [0, 1, TOGETHER, TOGETHER + 1, 3 * TOGETHER])
def test_any_number_of_rows(rows):
    images, more = np.random.default_rng(rows).random((rows, 5), np.float32), np.arange(rows, dtype=np.float32)
    np.testing.assert_array_equal(in_parts(compiled(twice, *SIGNATURE), images, more), images * 2 + more[:, None])


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
    _parts._has_xla.cache_clear()
    try:
        without = compiled(twice, *SIGNATURE)
        assert not _parts._has_xla()
    finally:
        _parts._has_xla.cache_clear()
    images = np.random.default_rng(0).random((TOGETHER, 5), np.float32)
    np.testing.assert_array_equal(without(images, np.zeros(TOGETHER, np.float32)), images * 2)
