"""The corrected fraction of a patient, and its interval."""

import numpy as np
import pytest
from scipy import stats

from malaria_exp.evaluation.patient_level.parasitized_fraction import parasitized_fraction, plausible_fractions
from malaria_exp.evaluation.patient_level.patient_counts import PatientCounts, RateSpread

SENSITIVITY = RateSpread(0.9, 0.003, 0.08, 0.0002, 50)
SPECIFICITY = RateSpread(0.97, 0.0004, 0.03, 0.0001, 60)


def draw(rng, patients):
    cells = rng.integers(60, 200, patients)
    parasitized = np.where(rng.random(patients) < 0.25, 0, rng.binomial(cells, rng.random(patients)))
    own = [stats.norm.cdf(rng.normal(mean, 0.45, patients)) for mean in (1.9, -2.1)]
    found, alarms = (rng.binomial(n, p).astype(float) for n, p in zip((parasitized, cells - parasitized), own, strict=True))
    return PatientCounts(np.arange(patients).astype(str), parasitized.astype(float), (cells - parasitized).astype(float), found, alarms)


def test_exact_rates_are_corrected_exactly():
    parasitized, uninfected = np.array([100.0, 50.0, 0.0, 80.0]), np.array([100.0, 150.0, 200.0, 20.0])
    given = PatientCounts(np.array(list("abcd")), parasitized, uninfected, 0.9 * parasitized, 0.05 * uninfected)
    found = parasitized_fraction(given, 0.95)
    assert found.value == pytest.approx(given.labeled)
    assert given.predicted != pytest.approx(given.labeled)


def test_the_limits_are_where_the_prediction_becomes_a_surprise():
    grid = np.linspace(0, 1, 100_001)
    for predicted in (0.0, 0.01, 0.2, 0.8, 0.93):
        spread = grid**2 * (0.003 + 0.0002) + (1 - grid) ** 2 * (0.0004 + 0.0001) + (grid * 0.08 + (1 - grid) * 0.03) / 90
        plausible = grid[np.abs(predicted - 0.9 * grid - 0.03 * (1 - grid)) <= 2 * np.sqrt(spread)]
        low, high = plausible_fractions(np.array(predicted), SENSITIVITY, SPECIFICITY, 90, 2.0)
        assert (low, high) == pytest.approx((plausible[0], plausible[-1]), abs=2e-5)


def test_patients_who_differ_too_much_leave_every_fraction_possible():
    wild = SENSITIVITY._replace(between=0.5)
    assert [float(limit) for limit in plausible_fractions(np.array(0.5), wild, SPECIFICITY, 90, 2.0)] == [0, 1]


def test_the_interval_holds_as_often_as_it_says():
    rng = np.random.default_rng(3)
    held = []
    for _ in range(150):
        given = draw(rng, 30)
        found = parasitized_fraction(given, 0.95)
        held.append((found.low <= given.labeled) & (given.labeled <= found.high))
    assert 0.93 <= np.mean(held) <= 0.98


def test_a_coin_and_too_few_others_say_nothing():
    coin = PatientCounts(np.array(list("abc")), *(np.array([50.0, 50.0, 50.0]) for _ in range(2)), *(np.full(3, 25.0) for _ in range(2)))
    assert np.isnan(parasitized_fraction(coin, 0.95).value).all()
    two = draw(np.random.default_rng(0), 2)
    found = parasitized_fraction(two, 0.95)
    assert np.isnan([found.value, found.low, found.high]).all()
