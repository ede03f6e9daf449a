"""Color jitter against its definition, one change at a time."""

import colorsys

import numpy as np
import pytest
from aug_tools import cells, treat

NOTHING = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0, "p": 1.0}
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
# Darker pixels fade towards the black outside.
BRIGHT = 0.2


@pytest.fixture(scope="module")
def batch():
    images, labels = cells(60)
    # Away from 1, so that nothing is cut off.
    return images * 0.6, labels


def factor(got, images):
    """Returns the number each image's values were multiplied by, by least squares."""
    return (got * images).sum(axis=(1, 2, 3)) / (images * images).sum(axis=(1, 2, 3))


def test_nothing_of_anything_changes_nothing(batch):
    images, labels = batch
    np.testing.assert_allclose(treat("color", images, labels, **NOTHING)[0], images, atol=1e-5)


def test_brightness_multiplies_by_a_number_from_its_range(batch):
    images, labels = batch
    got = treat("color", images, labels, **NOTHING | {"brightness": 0.4})[0]
    factors = factor(got, images)
    bright = images.min(axis=-1) > BRIGHT
    np.testing.assert_allclose(got[bright], (images * factors[:, None, None, None])[bright], atol=2e-3)
    assert 0.6 <= factors.min() < 0.75
    assert 1.25 < factors.max() <= 1.4
    assert abs(factors.mean() - 1) < 4 * 0.4 / np.sqrt(3 * 60)


def test_contrast_keeps_the_mean_gray_of_the_cell(batch):
    images, labels = batch
    got = treat("color", images, labels, **NOTHING | {"contrast": 0.3})[0]
    inside = images.max(axis=-1) > 0
    for before, after, cell in zip(images, got, inside, strict=True):
        gray = (before @ LUMA)[cell], (after @ LUMA)[cell]
        assert gray[0].mean() == pytest.approx(gray[1].mean(), abs=0.01)
    spreads = [after[cell].std() / before[cell].std() for before, after, cell in zip(images, got, inside, strict=True)]
    assert min(spreads) < 0.85 and max(spreads) > 1.15


def test_saturation_keeps_each_pixels_gray(batch):
    images, labels = batch
    got = treat("color", images, labels, **NOTHING | {"saturation": 0.5})[0]
    bright = images.min(axis=-1) > BRIGHT
    np.testing.assert_allclose((got @ LUMA)[bright], (images @ LUMA)[bright], atol=3e-3)
    away = [np.abs(part - (part @ LUMA)[..., None]).mean() for part in (got, images)]
    assert away[0] != pytest.approx(away[1], rel=1e-3)


def test_hue_turns_the_circle_of_colors(batch):
    images, labels = batch
    got = treat("color", images, labels, **NOTHING | {"hue": 0.1})[0]
    middle = images.shape[1] // 2
    turned = []
    for before, after in zip(images, got, strict=True):
        hues = [colorsys.rgb_to_hsv(*part[middle, middle // 2].tolist())[0] for part in (before, after)]
        turned.append((hues[1] - hues[0] + 0.5) % 1 - 0.5)
    assert min(turned) < -0.04 and max(turned) > 0.04
    # YIQ's angle and HSV's are not the same, but close.
    assert np.abs(turned).max() < 0.16
    bright = images.min(axis=-1) > BRIGHT
    np.testing.assert_allclose((got @ LUMA)[bright], (images @ LUMA)[bright], atol=3e-3)
