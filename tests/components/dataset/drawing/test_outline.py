"""Outlines: always one piece around the middle, bent by what they say."""

import numpy as np
import pytest
from scipy.ndimage import label as connected

from malaria_exp.components.dataset.drawing.outline import ODDITIES, cut, draw_outline, folded, fringed, joined, notched

RADIUS = 60.0


def mask_of(seed: int, *, roughness: float = 1.0, oddity=None, radius: float = RADIUS) -> np.ndarray:
    """The mask on a grid of one size, whatever grid it was made on."""
    oddities = ODDITIES if oddity is None else (oddity,)
    mask = draw_outline(np.random.default_rng(seed), radius, roughness, float(oddity is not None), oddities)[1]
    room = 90 - len(mask) // 2
    return np.pad(mask, room)


@pytest.mark.parametrize("radius", [5.0, 12.0, 60.0, 150.0])
def test_every_mask_is_one_piece_around_the_middle(radius):
    for seed in range(60):
        rng = np.random.default_rng(seed)
        outline, mask = draw_outline(rng, radius, 3.0, 1.0, ODDITIES)
        assert mask[len(mask) // 2, len(mask) // 2]
        assert connected(mask)[1] == 1 and not (mask & (outline.level >= 1)).any()


def test_nothing_that_hangs_together_is_thrown_away():
    lost = [
        np.count_nonzero((outline.level < 1) & ~mask)
        for outline, mask in (draw_outline(np.random.default_rng(seed), RADIUS, 1.0, 0.0, ODDITIES) for seed in range(100))
    ]
    assert max(lost) <= 3


@pytest.mark.parametrize("oddity", [notched, cut, folded, joined, fringed])
def test_notches_cuts_and_folds_only_take_away_and_neighbors_and_fringes_only_add(oddity):
    adds = oddity in (joined, fringed)
    areas = []
    for seed in range(30):
        plain, odd = mask_of(seed), mask_of(seed, oddity=oddity)
        assert not (plain & ~odd if adds else odd & ~plain).any()
        areas.append(odd.sum() / plain.sum())
    assert np.mean([area != 1 for area in areas]) > 0.9
    assert min(areas) > 0.3 and max(areas) < 1.8
