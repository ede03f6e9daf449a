"""The chosen threshold reaches its target, and no larger one does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malaria_exp.evaluation.metrics import count
from malaria_exp.evaluation.thresholds import choose_threshold
from malaria_exp.utils.errors import ConfigError

targets = st.one_of(st.floats(0.001, 1), st.sampled_from([0.1, 0.2, 0.3, 0.7, 0.9, 0.95, 0.99, 1.0]))
tied = st.integers(0, 8).map(lambda step: step / 8)
rows = st.lists(st.tuples(st.integers(0, 1), st.one_of(tied, st.floats(0, 1))), min_size=1, max_size=60)


@given(rows, targets)
@settings(deadline=None)
def test_reaches_the_target_and_no_larger_one_does(cells, target):
    labels, scores = (np.array(column) for column in zip(*cells, strict=True))
    labels[0] = 1
    threshold = choose_threshold(labels, scores, target)
    assert 0 <= threshold <= 1
    assert count(labels, scores, threshold).sensitivity >= target
    assert count(labels, scores, np.nextafter(threshold, 2)).sensitivity < target


@given(rows, targets, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_neither_order_nor_uninfected_cells_matter(cells, target, random):
    labels, scores = (np.array(column) for column in zip(*cells, strict=True))
    order = np.array(random.sample(range(len(labels)), len(labels)))
    threshold = choose_threshold(labels, scores, target)
    assert choose_threshold(labels[order], scores[order], target) == threshold
    if labels.any():
        assert choose_threshold(labels[labels == 1], scores[labels == 1], target) == threshold


def test_without_parasitized_cells_it_is_one_half():
    assert choose_threshold(np.zeros(3), np.array([0.1, 0.2, 0.9]), 0.95) == 0.5


@pytest.mark.parametrize("target", [0, -0.1, 1.01, float("nan")])
def test_an_impossible_target_is_refused(target):
    with pytest.raises(ConfigError, match="target_sensitivity"):
        choose_threshold(np.ones(3), np.ones(3), target)
