"""Each operation is that of tf.image, drawn for each image by itself."""

import numpy as np
import pytest
import tensorflow as tf
from aug_tools import cells, noise, quarter_turns, treat

from malaria_exp.utils.errors import ConfigError

BRIGHT = 0.12


def one(name, images, labels, **params):
    return treat("tf_image", images, labels, operations=[name], p=1.0, **params)[0]


@pytest.mark.parametrize("name", ["flip_left_right", "flip_up_down"])
def test_flips(name):
    images, labels = noise(5)
    assert np.array_equal(one(name, images, labels), getattr(tf.image, name)(images))


def test_rot90_turns_by_each_angle_and_never_by_none():
    images, labels = noise(300, 4)
    used = quarter_turns(images, one("rot90", images, labels))
    assert used[0] == 0
    assert (np.abs(used[1:] - 100) < 4 * 8.2).all()


def test_saturation_is_tf_images():
    images, labels = cells(6)
    np.testing.assert_allclose(one("adjust_saturation", images, labels), tf.image.adjust_saturation(images, 0.3), atol=1e-6)


def test_brightness_adds_one_number_to_each_image():
    images, labels = cells(300, 10)
    images *= 0.7
    got = one("random_brightness", images, labels, brightness=0.2)
    bright = images.min(axis=-1) > 0.25
    added = [np.unique(np.round((b - a)[part], 4)) for a, b, part in zip(images, got, bright, strict=True)]
    added = np.array([values.mean() for values in added if np.ptp(values) < 1e-3])
    assert len(added) > 250
    assert np.abs(added).max() <= 0.2
    assert added.std() == pytest.approx(0.4 / np.sqrt(12), rel=0.1)


def test_contrast_is_tf_images_with_a_factor_of_its_own_for_each_image():
    images, labels = cells(40)
    got = one("random_contrast", images, labels, contrast=0.3)
    factors = []
    for before, after in zip(images, got, strict=True):
        bright = (before.min(axis=-1) > BRIGHT) & (after.max(axis=-1) < 1)
        mean = before.mean(axis=(0, 1))
        x, y = (before - mean)[bright].ravel(), (after - mean)[bright].ravel()
        factor = (x * y).sum() / (x * x).sum()
        factors.append(factor)
        np.testing.assert_allclose(after[bright], tf.image.adjust_contrast(before, factor).numpy()[bright], atol=1e-4)
    assert min(factors) < 0.85 and max(factors) > 1.15 and min(factors) >= 0.7 - 1e-3 and max(factors) <= 1.3 + 1e-3


def test_operations_are_drawn_each_by_itself():
    images, labels = noise(1200, 3)
    got = treat("tf_image", images, labels, operations=["flip_left_right", "flip_up_down"], p=0.5)[0]
    kinds = [images, images[:, :, ::-1], images[:, ::-1], images[:, ::-1, ::-1]]
    fractions = np.array([(got == kind).all(axis=(1, 2, 3)).mean() for kind in kinds])
    assert np.abs(fractions - 0.25).max() < 4 * np.sqrt(0.25 * 0.75 / 1200)


def test_an_unknown_operation_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match=r"aug.tf_image.operations\[0\].*'flip_leftright'.*Did you mean 'flip_left_right'"):
        treat("tf_image", *noise(1), operations=["flip_leftright"])
