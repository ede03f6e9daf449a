"""The box that is painted over: its area, shape and paint."""

import numpy as np
import pytest
from aug_tools import cells, noise, treat

from malaria_exp.utils.errors import ConfigError


def boxes(images, got):
    """Returns height, width and number of changed pixels of each changed image's box."""
    found = []
    for before, after in zip(images, got, strict=True):
        changed = (before != after).any(axis=-1)
        if changed.any():
            rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
            found.append((np.ptp(rows) + 1, np.ptp(columns) + 1, changed.sum()))
    return np.array(found)


def test_one_whole_box_of_the_configured_area_and_shape():
    images, labels = noise(500, 40)
    got = treat("erasing", images, labels, min_area=0.05, max_area=0.2, ratio=2.0, p=1.0)[0]
    found = boxes(images, got)
    assert len(found) == 500
    height, width, area = found.T
    assert (height * width == area).all()
    assert area.min() / 1600 > 0.05 - 0.012 and area.max() / 1600 < 0.2 + 0.025
    assert (area / 1600).mean() == pytest.approx(0.125, abs=0.01)
    assert (width / height).max() < 2.4 and (width / height).min() > 1 / 2.4
    assert np.log(width / height).mean() == pytest.approx(0, abs=0.06)


def test_every_place_can_be_painted_over_about_as_often():
    images, labels = noise(2000, 8)
    got = treat("erasing", images, labels, min_area=0.02, max_area=0.02, ratio=1.0, p=1.0)[0]
    counts = (images != got).any(axis=-1).sum(axis=0)
    assert counts.sum() == 2000
    assert (np.abs(counts - 2000 / 64) < 5.5 * np.sqrt(2000 / 64)).all()


@pytest.mark.parametrize(("fill", "paint"), [("black", 0.0), ("mean", None), ("noise", None)])
def test_the_paint(fill, paint):
    images, labels = cells(20)
    got = treat("erasing", images, labels, fill=fill, min_area=0.2, max_area=0.3, p=1.0)[0]
    for before, after in zip(images, got, strict=True):
        painted = after[(before != after).any(axis=-1)]
        if paint is not None:
            assert (painted == paint).all()
        elif fill == "mean":
            inside = before[before.max(axis=-1) > 0]
            np.testing.assert_allclose(painted, np.broadcast_to(inside.mean(axis=0), painted.shape), atol=1e-4)
        else:
            assert painted.std() > 0.2
            assert len(np.unique(painted)) > 0.9 * painted.size


def test_the_smallest_area_is_not_above_the_largest():
    with pytest.raises(ConfigError, match=r"aug.erasing.min_area: received 0.5, more than aug.erasing.max_area=0.1"):
        treat("erasing", *noise(1), min_area=0.5)
