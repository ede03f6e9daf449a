"""Groups count alike: as many cells of each in an epoch, or as much weight."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from malaria_exp.components.sampling.patient_balanced import patient_weights
from malaria_exp.config.registry import build
from malaria_exp.utils.errors import ConfigError

groups_of_cells = st.lists(st.sampled_from("abcde"), min_size=1, max_size=60).map(np.array)


@given(groups_of_cells, st.integers(0, 100))
def test_groups_have_as_many_cells_and_their_cells_come_as_often(groups, seed):
    sampling = build("sampling", "patient_balanced", {}, np.zeros(len(groups)), groups)
    cells = np.arange(len(groups))
    times = sampling.choose(cells, np.zeros(len(cells)), len(cells), np.random.default_rng(seed))
    assert times.sum() == len(cells)
    sums = [times[groups == group].sum() for group in np.unique(groups)]
    assert max(sums) - min(sums) <= 1
    for group in np.unique(groups):
        assert np.ptp(times[groups == group]) <= 1


def test_other_cells_of_a_large_group_come_each_time_and_all_in_the_end():
    labels = np.array([0] * 90 + [1] * 10)
    sampling = build("sampling", "class_balanced", {}, labels, None)
    drawn = np.array([sampling.choose(np.arange(100), np.zeros(100), 100, np.random.default_rng(seed)) for seed in range(60)])
    assert (drawn[:, :90].sum(axis=1) == 50).all() and (drawn[:, 90:] == 5).all()
    assert len({tuple(one) for one in drawn}) == 60 and (drawn.sum(axis=0) > 0).all()


@given(groups_of_cells)
def test_patients_weigh_alike_and_cells_one_on_average(patients):
    weights = patient_weights(patients)
    sums = [weights[patients == patient].sum() for patient in np.unique(patients)]
    assert weights.dtype == np.float32 and weights.mean() == pytest.approx(1)
    assert sums == pytest.approx([len(patients) / len(sums)] * len(sums))
    sampling = build("sampling", "patient_balanced", {"by": "weights"}, np.zeros(len(patients)), patients)
    assert sampling.choose is None and np.array_equal(sampling.weights, weights)


def test_patients_that_nobody_knows_cannot_count_alike():
    with pytest.raises(ConfigError, match="sampling: 'patient_balanced' needs the patients, which are not known"):
        build("sampling", "patient_balanced", {}, np.array([0, 1]), None)
