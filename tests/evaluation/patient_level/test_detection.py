"""Limits of blank and detection."""

import numpy as np
import pytest
from scipy import stats

from malaria_exp.evaluation.patient_level.detection import detection_limits
from malaria_exp.evaluation.patient_level.patient_counts import PatientCounts


def draw(rng, infected, healthy, cells=100):
    parasitized = np.append(rng.integers(1, cells, infected), np.zeros(healthy, int))
    own = [stats.norm.cdf(rng.normal(mean, 0.4, infected + healthy)) for mean in (1.9, -2.1)]
    found, alarms = (rng.binomial(n, p).astype(float) for n, p in zip((parasitized, cells - parasitized), own, strict=True))
    names = np.arange(infected + healthy).astype(str)
    return PatientCounts(names, parasitized.astype(float), (cells - parasitized).astype(float), found, alarms)


def test_the_limit_of_blank_is_that_of_the_healthy_patients_roots():
    given = draw(np.random.default_rng(0), 5, 9)
    roots = np.sqrt(given.predicted[~given.infected])
    found = detection_limits(given, 0.95)["limit_of_blank"]
    assert found["value"] == pytest.approx((roots.mean() + 1.644854 * roots.std(ddof=1)) ** 2)
    assert 0 <= found["low"] < found["value"] < found["high"] <= 1 and found["patients"] == 9


def test_at_the_limits_95_of_100_patients_are_on_the_right_side():
    rng = np.random.default_rng(1)
    found = detection_limits(draw(rng, 2000, 2000, 400), 0.95)
    blank, limit = found["limit_of_blank"]["value"], found["limit_of_detection"]["value"]
    sensitivity, alarms = (stats.norm.cdf(rng.normal(mean, 0.4, 20_000)) for mean in (1.9, -2.1))
    parasitized = round(limit * 400)
    healthy = rng.binomial(400, alarms) / 400
    low = (rng.binomial(parasitized, sensitivity) + rng.binomial(400 - parasitized, alarms)) / 400
    assert np.mean(healthy <= blank) == pytest.approx(0.95, abs=0.03)
    assert np.mean(low > blank) == pytest.approx(0.95, abs=0.03)
    assert found["limit_of_detection"]["low"] < limit < found["limit_of_detection"]["high"]


def test_patients_above_the_limit_of_blank_are_counted():
    given = draw(np.random.default_rng(2), 20, 10)
    found = detection_limits(given, 0.95)
    above = given.predicted > found["limit_of_blank"]["value"]
    assert found["above"] == {"infected": above[given.infected].sum(), "healthy": above[~given.infected].sum()}


@pytest.mark.parametrize(("infected", "healthy"), [(8, 0), (8, 1), (0, 8), (1, 3)])
def test_what_the_patients_cannot_tell_is_undefined(infected, healthy):
    found = detection_limits(draw(np.random.default_rng(3), infected, healthy), 0.95)
    assert (found["limit_of_blank"]["value"] is None) == (healthy < 2)
    assert found["limit_of_detection"]["value"] is None


def test_healthy_patients_without_any_alarm_have_a_limit_of_zero_and_no_interval():
    given = PatientCounts(np.array(list("abcd")), *(np.array(x) for x in ([5.0, 6, 0, 0], [5.0, 4, 9, 9], [5.0, 5, 0, 0], [0.0] * 4)))
    found = detection_limits(given, 0.95)
    assert found["limit_of_blank"]["value"] == 0 and found["limit_of_blank"]["low"] is None
