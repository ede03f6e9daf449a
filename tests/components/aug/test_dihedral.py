"""The eight symmetries of the square are equally probable, and nothing but pixels are moved."""

import numpy as np
import pytest
from aug_tools import noise, treat
from hypothesis import given, settings
from hypothesis import strategies as st

from malaria_exp.config.registry import build
from malaria_exp.utils.errors import ConfigError


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


@given(st.integers(1, 6), st.integers(1, 9), st.floats(0, 1), st.integers(-(2**31), 2**31 - 1))
@settings(max_examples=15, deadline=None)
def test_whole_pixels_are_moved(count, size, p, seed):
    images, labels = noise(count, size)
    results = treat("dihedral", images, labels, p=p, seed=(seed, 1))[0]
    for image, result in zip(images, results, strict=True):
        assert sorted(map(tuple, image.reshape(-1, 3).tolist())) == sorted(map(tuple, result.reshape(-1, 3).tolist()))


@pytest.mark.parametrize("p", [-0.1, "often"])
def test_p_is_a_probability(p):
    with pytest.raises(ConfigError, match=r"aug\.p: expected a number"):
        build("aug", "dihedral", {"p": p})
