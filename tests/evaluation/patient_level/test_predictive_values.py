"""PPV and NPV at any prevalence."""

import numpy as np
import pytest

from malaria_exp.evaluation.patient_level.predictive_values import predictive_values

GRID = np.array([0.5, 0.1, 0.001])


def cell(value, low=None, high=None):
    return {"value": value, "low": low, "high": high, "patients": None}


def test_they_follow_from_bayes_theorem():
    found = predictive_values(cell(0.9, 0.85, 0.94), cell(0.97, 0.95, 0.985), GRID)
    assert found["ppv"].value == pytest.approx(0.9 * GRID / (0.9 * GRID + 0.03 * (1 - GRID)))
    assert found["npv"].value == pytest.approx(0.97 * (1 - GRID) / (0.97 * (1 - GRID) + 0.1 * GRID))
    for value, low, high in found.values():
        assert (low < value).all() and (value < high).all()


def test_the_limits_lie_within_those_of_the_worst_and_the_best_case():
    found = predictive_values(cell(0.9, 0.85, 0.94), cell(0.97, 0.95, 0.985), GRID)
    worst, best = (predictive_values(cell(s), cell(c), GRID) for s, c in ((0.85, 0.95), (0.94, 0.985)))
    for name in ("ppv", "npv"):
        assert (found[name].low > worst[name].value).all() and (found[name].high < best[name].value).all()


def test_without_a_false_alarm_a_bound_is_left():
    found = predictive_values(cell(0.9, 0.85, 0.94), cell(1.0, 0.98, 1.0), GRID)
    assert (found["ppv"].value == 1).all() and (found["ppv"].high == 1).all()
    assert found["ppv"].low == pytest.approx(0.85 * GRID / (0.85 * GRID + 0.02 * (1 - GRID)))
    perfect = predictive_values(cell(1.0, 0.9, 1.0), cell(1.0, 0.98, 1.0), GRID)
    assert (perfect["npv"].value == 1).all() and (perfect["npv"].low < 1).all()


def test_what_is_undefined_stays_so():
    assert np.isnan(predictive_values(cell(None), cell(0.9), GRID)["ppv"].value).all()
    found = predictive_values(cell(0.9), cell(0.9), GRID)
    assert np.isfinite(found["ppv"].value).all() and np.isnan(found["ppv"].low).all()
