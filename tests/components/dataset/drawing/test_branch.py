"""Branches of random numbers."""

import numpy as np

from malaria_exp.components.dataset.drawing.branch import branch


def test_a_branch_does_not_depend_on_what_was_drawn_before():
    fresh, used = np.random.default_rng([1, 2]), np.random.default_rng([1, 2])
    used.random(100)
    branch(used, 7).random(3)
    assert np.array_equal(branch(fresh, 3).random(5), branch(used, 3).random(5))


def test_branches_differ_from_each_other_from_their_trunk_and_between_trunks():
    trunk = np.random.default_rng([1, 2])
    rngs = [trunk, *(branch(trunk, number) for number in range(4)), branch(branch(trunk, 0), 0), branch(np.random.default_rng([1, 3]), 0)]
    assert len({float(rng.random()) for rng in rngs}) == len(rngs)
