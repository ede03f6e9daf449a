"""The cells with the highest losses, those without one before all others, and some noise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@given(st.integers(64, 40_000), st.integers(1, 3), st.integers(0, 4), st.integers(0, 500))
def test_of_few_cells_more_epochs_hold_all(cells, copies, warm_epochs, warm_steps):
    given_keys = {"warm_epochs": warm_epochs, "warm_steps": warm_steps}
    length = build("sampling", "hard_examples", given_keys, np.zeros(0), None).length(12, cells, copies, 64)
    whole = length.whole_epochs
    assert whole >= warm_epochs and whole * length.steps_per_epoch >= warm_steps
    assert whole == warm_epochs or (whole - 1) * length.steps_per_epoch < warm_steps
