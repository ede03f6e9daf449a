"""The cells with the highest losses, those without one before all others, and some noise."""

import numpy as np
import pytest

from malaria_exp.config.registry import build

CELLS = np.arange(100)


def choose(losses, count=30, *, noise=0.0, seed=0):
    sampling = build("sampling", "hard_examples", {"noise": noise}, np.zeros(0), None)
    times = sampling.choose(CELLS, losses.astype(np.float32), count, np.random.default_rng(seed))
    assert times.shape == (100,) and times.sum() == count and times.max() == 1
    return set(np.flatnonzero(times).tolist())


def test_without_noise_the_highest_are_taken():
    losses = np.random.default_rng(0).permutation(100) / 100
    assert choose(losses) == set(np.flatnonzero(losses >= 0.7).tolist())
    assert choose(losses, 100) == set(range(100))


@pytest.mark.parametrize("noise", [0.0, 0.15])
def test_cells_without_a_loss_come_first_and_differ_from_time_to_time(noise):
    losses = np.where(CELLS < 20, np.nan, 1e6 * CELLS)
    assert set(range(20)) < choose(losses, noise=noise)
    none = np.full(100, np.nan)
    assert choose(none, noise=noise) != choose(none, noise=noise, seed=1)


def test_equal_losses_are_drawn_evenly():
    drawn = np.bincount([cell for seed in range(300) for cell in choose(np.ones(100), seed=seed)], minlength=100)
    # 90 times each, give or take 8.
    assert drawn.min() > 50 and drawn.max() < 130


def test_noise_mixes_in_easier_cells_and_follows_the_seed_and_the_spread():
    losses = np.arange(100.0)
    few, many = (np.mean([len(choose(losses, noise=noise, seed=seed) - choose(losses)) for seed in range(20)]) for noise in (0.05, 1.0))
    assert 0 < few < many < 21
    assert choose(losses, noise=0.3, seed=3) == choose(losses * 1000, noise=0.3, seed=3) != choose(losses, noise=0.3, seed=4)
