"""The eight symmetries of the square are equally probable, and nothing but pixels are moved."""

import numpy as np
import pytest
from aug_tools import noise, treat


def which(images, results):
    """Returns the number of the symmetry that was applied to each image, by NumPy's own; 0 is the identity. No image may have a symmetry itself."""
    found = []
    for image, result in zip(images, results, strict=True):
        symmetries = [np.rot90(flipped, turns) for flipped in (image, image[:, ::-1]) for turns in range(4)]
        (match,) = [number for number, turned in enumerate(symmetries) if np.array_equal(turned, result)]
        found.append(match)
    return np.array(found)


@pytest.mark.parametrize("p", [0.25, 0.7, 1.0])
def test_each_symmetry_is_about_equally_frequent_among_the_treated(p):
    images, labels = noise(4000, 3)
    used = np.bincount(which(images, treat("dihedral", images, labels, p=p)[0]), minlength=8) / 4000
    expected = np.full(8, p / 8)
    expected[0] += 1 - p
    assert (np.abs(used - expected) < 5 * np.sqrt(expected * (1 - expected) / 4000)).all(), used


def test_neighbors_in_a_batch_neither_agree_nor_alternate():
    images = np.repeat(noise(1)[0], 64, axis=0)
    used = which(images, treat("dihedral", images, np.zeros((64, 1), np.float32))[0])
    assert len(set(used.tolist())) == 8
    assert 0 < (used[1:] == used[:-1]).mean() < 0.5
