"""No augmentation leaves every bit as it is."""

import numpy as np
import pytest
import tensorflow as tf

from malaria_exp.config.registry import build
from malaria_exp.utils.errors import ConfigError


def test_batches_stay_as_they_are_bit_for_bit():
    rng = np.random.default_rng(0)
    images, labels = rng.random((5, 6, 6, 3), np.float32), rng.random((5, 1), np.float32)
    augment = build("aug", "none", {})
    for function in (augment, tf.function(augment)):
        got_images, got_labels = function(tf.constant(images), tf.constant(labels), tf.constant([1, 2]))
        assert got_images.dtype == got_labels.dtype == tf.float32
        assert np.array_equal(got_images, images)
        assert np.array_equal(got_labels, labels)


def test_it_takes_no_parameters():
    with pytest.raises(ConfigError, match=r"aug\.p: unknown key"):
        build("aug", "none", {"p": 0.5})
