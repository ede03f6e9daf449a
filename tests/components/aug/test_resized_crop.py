"""The part that is enlarged: its size, its place, its pixels."""

import numpy as np
import pytest
from aug_tools import noise, treat


def ramps(count, size=41):
    """Returns images whose red is the column and whose green is the row, from 0 to 1."""
    line = np.linspace(0, 1, size, dtype=np.float32)
    one = np.stack([np.tile(line, (size, 1)), np.tile(line[:, None], (1, size)), np.zeros((size, size), np.float32)], axis=-1)
    return np.repeat(one[None], count, axis=0), np.zeros((count, 1), np.float32)


def test_parts_have_the_area_the_shape_and_any_place():
    images, labels = ramps(600)
    got = treat("resized_crop", images, labels, min_area=0.4, ratio=1.5, p=1.0)[0]
    width, height = (np.ptp(got[..., channel], axis=(1, 2)) for channel in (0, 1))
    area = width * height
    assert area.min() >= 0.4 - 0.02 and area.max() <= 1 + 1e-5
    # Where a part would be wider than the image it is cut to it, which happens to large parts alone.
    small = area < 0.6
    assert area[small].mean() == pytest.approx(0.5, abs=0.02)
    shape = width / height
    assert 1 / 1.5 - 0.03 <= shape.min() < 0.75
    assert 1.33 < shape.max() <= 1.5 + 0.03
    left, top = got[..., 0].min(axis=(1, 2)), got[..., 1].min(axis=(1, 2))
    assert left.min() < 0.02
    assert np.abs(left / np.maximum(1 - width, 1e-6))[width < 0.9].mean() == pytest.approx(0.5, abs=0.06)
    assert np.abs(np.corrcoef(left, top)[0, 1]) < 0.15


def test_pixels_lie_on_straight_lines_between_the_edges():
    images, labels = ramps(5)
    got = treat("resized_crop", images, labels, min_area=0.5, p=1.0)[0]
    for image in got:
        np.testing.assert_allclose(np.diff(image[20, :, 0]), np.diff(image[20, :, 0]).mean(), atol=1e-4)
        assert (image[:, :, 1].std(axis=1) < 1e-5).all()


def test_the_whole_image_is_the_identity():
    images, labels = noise(6)
    np.testing.assert_allclose(treat("resized_crop", images, labels, min_area=1.0, ratio=1.0, p=1.0)[0], images, atol=1e-5)
