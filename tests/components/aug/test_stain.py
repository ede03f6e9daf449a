"""Stain jitter: what is done to the amounts of the dyes."""

import numpy as np
import pytest
from aug_tools import cells, treat

from malaria_exp.components.aug.stain import ABSORBED

DYES = np.array(ABSORBED) / np.linalg.norm(ABSORBED, axis=1, keepdims=True)


def amounts(images):
    """Returns how much of each dye each pixel has, by Beer and Lambert."""
    return -np.log(np.maximum(images, 1 / 255)) @ np.linalg.inv(DYES)


@pytest.fixture(scope="module")
def batch():
    images, labels = cells(80)
    return (images * 0.7 + 0.1 * (images > 0)).astype(np.float32), labels


def fit(images, got):
    """Returns scale and shift of each image's dyes, by least squares over the pixels that did not get cut off."""
    found = []
    for before, after in zip(images, got, strict=True):
        whole = (before.min(axis=-1) > 0.15) & (after.min(axis=-1) > 0.05) & (after.max(axis=-1) < 0.99)
        x, y = amounts(before[whole]), amounts(after[whole])
        found.append([np.polyfit(x[:, dye], y[:, dye], 1) for dye in range(3)])
    return np.array(found)


def test_each_dye_is_scaled_and_shifted_as_configured(batch):
    images, labels = batch
    got = treat("stain", images, labels, scale=0.2, shift=0.05, p=1.0)[0]
    found = fit(images, got)
    scales, shifts = found[..., 0], found[..., 1] / np.log(10)
    assert np.abs(scales - 1).max() <= 0.2 + 0.01 and np.abs(shifts).max() <= 0.05 + 0.005
    # Spread evenly, the deviation is the width over the root of 12.
    assert scales.std() == pytest.approx(0.4 / np.sqrt(12), rel=0.15)
    assert shifts.std() == pytest.approx(0.1 / np.sqrt(12), rel=0.15)
    # The dyes by themselves.
    assert np.abs(np.corrcoef(scales.T)[np.triu_indices(3, 1)]).max() < 0.45


def test_next_to_nothing_changes_next_to_nothing(batch):
    images, labels = batch
    np.testing.assert_allclose(treat("stain", images, labels, scale=1e-6, shift=0.0, p=1.0)[0], images, atol=1e-4)
