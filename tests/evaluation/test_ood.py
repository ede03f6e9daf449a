import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from malaria_exp.config.registry import build, options
from malaria_exp.evaluation.ood import Features, fit_detector, joint_limits, warns

OPTIONS = sorted(set(options("ood")) - {"none"})
PARTS = ("color", "early", "last")


def cells(patients, seed, *, shift=0.0, closer=1.0, each=25):
    """Features of patients who differ: of the image, and of the model at two depths; `closer` is what training does to the last."""
    draw = np.random.default_rng(seed)
    names = np.repeat([f"{seed}-{number}" for number in range(patients)], each)
    own = np.repeat(draw.normal(size=(patients, 3)), each, axis=0)
    color = own + draw.normal(size=(len(names), 3)) + shift
    early = np.maximum(color @ np.ones((3, 12)) + draw.normal(size=(len(names), 12)), 0)
    # The last of these never varies among the cells.
    last = np.concatenate([closer * draw.normal(size=(len(names), 5)), np.zeros((len(names), 1))], axis=1)
    return Features([color, early, last], names)


def fitted(name, **training):
    params = {"cells": 300} if name == "knn" else {}
    return fit_detector(name, build("ood", name, params), PARTS, (3, 9), cells(40, 1, **training), cells(8, 2), seed=0)


@pytest.mark.parametrize("name", OPTIONS)
def test_it_warns_of_foreign_cells_and_hardly_ever_of_new_patients(name):
    detector = fitted(name)
    new = warns(detector.scores(cells(60, 3).values)).any(axis=1)
    foreign = warns(detector.scores(cells(3, 4, shift=9).values))
    # The limits are set for 4.5 %; how much 60 patients differ from 48 others is chance.
    assert new.mean() <= 0.07 and detector.false_warnings <= 0.05
    # Not the last features, which are not changed: the part that warns says what is foreign.
    assert foreign[:, 0].mean() > 0.95 and foreign[:, 2].mean() < 0.05
    again = fitted(name)
    assert all(
        np.array_equal(getattr(one, key), getattr(two, key))
        for one, two in zip(detector.parts, again.parts, strict=True)
        for key in ("weights", "points")
    )


def test_features_in_which_training_brought_cells_close_do_not_warn_of_all_new_ones():
    detector = fitted("mahalanobis", closer=0.4)
    assert warns(detector.scores(cells(60, 3).values)).any(axis=1).mean() < 0.08


@given(st.lists(st.integers(1, 30), min_size=2, max_size=6), st.integers(0, 99), st.floats(0.01, 0.4))
def test_joint_limits_hold_for_all_parts_together_and_every_patient_weighs_the_same(sizes, seed, aim):
    draw = np.random.default_rng(seed)
    groups = [draw.exponential(size=(size, 4)) for size in sizes]
    limits = joint_limits(groups, aim)
    assert np.mean([(group > limits).any(axis=1).mean() for group in groups]) <= aim + 1e-9
    # No part is wasted: each limit is a distance of some cell that is not warned of.
    assert all((np.concatenate(groups)[:, part] == limit).any() for part, limit in enumerate(limits))


def test_too_few_cells_make_no_detector_and_one_unknown_patient_makes_one():
    few, val = cells(1, 1, each=19), cells(3, 2)
    assert fit_detector("mahalanobis", build("ood", "mahalanobis", {}), PARTS, (1, 2), few, val, seed=0) is None
    alone = Features(cells(4, 1).values, np.full(100, "unknown"))
    unknown = Features(val.values, np.full(75, "unknown"))
    found = fit_detector("mahalanobis", build("ood", "mahalanobis", {}), PARTS, (1, 2), alone, unknown, seed=0)
    assert found.false_warnings is None and warns(found.scores(val.values)).any(axis=1).mean() < 0.5


def test_what_is_no_number_warns():
    assert warns(np.array([[np.nan, 0.5], [0.5, 1.0]])).tolist() == [[True, False], [False, False]]
