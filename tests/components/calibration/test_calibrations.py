"""Every calibration: nearer to the labels, never another order, never a number that is none, whatever the validation cells are."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.calibration import _sigmoid_calibration
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import log_loss

from malaria_exp.config.registry import build, options
from malaria_exp.evaluation.calibration import fit_calibration
from malaria_exp.evaluation.logistic_fit import smoothed_targets
from malaria_exp.evaluation.predictions import sigmoid

FITTED = sorted(set(options("calibration")) - {"none"})
EXTREMES = np.array([-1e4, -60.0, -3.0, -1e-3, 0.0, 1e-3, 3.0, 60.0, 1e4])


def calibrated(name, logits, labels):
    return fit_calibration(name, build("calibration", name, {}), logits, labels)


def cells(count, seed=0, scale=2.0, shift=0.5):
    """Logits and labels whose true logit is scale * logit + shift."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, count)
    return logits, (rng.random(count) < sigmoid(scale * logits + shift)).astype(int)


@pytest.mark.parametrize("name", FITTED)
def test_it_finds_the_map_and_brings_new_cells_nearer_to_their_labels(name):
    found = calibrated(name, *cells(20_000, shift=0.0))
    assert (found.name, found.note) == (name, "")
    logits = np.linspace(-1.5, 1.5, 7)
    np.testing.assert_allclose(found.map(logits), 2 * logits, atol=0.35)
    logits, labels = cells(5_000, seed=1, shift=0.0)
    assert log_loss(labels, sigmoid(found.map(logits))) < log_loss(labels, sigmoid(logits)) - 0.01


def test_temperature_is_the_scale_of_least_log_loss():
    logits, labels = cells(3_000)
    found = minimize(lambda scale: log_loss(labels, sigmoid(scale * logits)), [1.0], method="Nelder-Mead", options={"xatol": 1e-7}).x[0]
    assert calibrated("temperature", logits, labels).map.slope == pytest.approx(found, rel=1e-3)


def test_platt_is_scikit_learns():
    logits, labels = cells(400)
    slope, intercept = _sigmoid_calibration(logits, labels)
    found = calibrated("platt", logits, labels).map
    assert (found.slope, found.calibrated[0]) == pytest.approx((-slope, -intercept), rel=1e-3)


def test_isotonic_goes_through_the_steps_of_scikit_learns_regression_and_stays_away_from_0_and_1():
    logits, labels = cells(400)
    found = calibrated("isotonic", logits, labels).map
    steps = IsotonicRegression().fit(logits, smoothed_targets(labels)).predict(found.logits)
    np.testing.assert_allclose(sigmoid(np.array(found.calibrated)), steps, rtol=1e-9)
    assert 1 / (len(labels) + 2) < sigmoid(np.array(found.calibrated[:1]))[0]
    assert len(found.logits) > 5


HARD = {
    "separated": (np.array([-3.0, -2.0, -1.0, 1.0, 2.0]), [0, 0, 0, 1, 1]),
    "two cells": (np.array([-0.1, 0.2]), [0, 1]),
    "two cells, both logits positive": (np.array([5.0, 5.5]), [0, 1]),
    "very sure and wrong once": (np.array([-60.0, -60.0, 60.0, 60.0, 60.0]), [0, 0, 1, 1, 0]),
    "ties": (np.array([-1.0, -1.0, 1.0, 1.0]), [0, 1, 1, 1]),
    "nearly equal logits": (1 + np.array([0.0, 1e-6, 2e-6, 3e-6]), [0, 1, 0, 1]),
    "reversed": (np.array([3.0, 2.0, -2.0, -3.0]), [0, 0, 1, 1]),
    "one class": (np.array([-1.0, 2.0, 3.0]), [1, 1, 1]),
    "all scores equal": (np.array([0.7, 0.7, 0.7]), [0, 1, 1]),
    "not finite": (np.array([0.7, np.nan, np.inf]), [0, 1, 1]),
}
NOTHING = ("reversed", "one class", "all scores equal", "not finite")


@pytest.mark.parametrize("name", FITTED)
@pytest.mark.parametrize("case", HARD)
def test_hard_cells_give_a_finite_increasing_map_or_none_with_a_note(name, case):
    logits, labels = HARD[case]
    found = calibrated(name, logits, np.array(labels))
    after = found.map(EXTREMES)
    assert np.isfinite(after).all() and (np.diff(after) > 0).all()
    assert (found.name == "none") == bool(found.note) == found.map.identity
    if case in NOTHING:
        assert f"{name} could not be fitted" in found.note
    elif case in ("separated", "two cells", "very sure and wrong once"):
        assert found.name == name
        # What so few cells can make sure of.
        assert np.ptp(found.map(logits)) < 20
    # Cells in another order give the same map.
    assert calibrated(name, logits[::-1], np.array(labels)[::-1]).map(EXTREMES) == pytest.approx(after, rel=1e-6)


def test_none_changes_nothing():
    found = calibrated("none", *cells(10))
    assert found.map.identity and not found.note
    np.testing.assert_array_equal(found.map(EXTREMES), EXTREMES)
