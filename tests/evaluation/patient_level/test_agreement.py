"""Limits of agreement and percentiles: their values by hand, and how often their intervals hold."""

import numpy as np
import pytest
from scipy import stats

from malaria_exp.evaluation.patient_level.agreement import agreement, normal_percentile


def test_bias_and_limits_are_mean_and_196_standard_deviations():
    differences = np.array([-0.02, 0.01, 0.03, 0.0, -0.04, 0.05])
    found = agreement(differences, 0.95)
    assert found["bias"]["value"] == pytest.approx(differences.mean())
    interval = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert (found["bias"]["low"], found["bias"]["high"]) == pytest.approx(tuple(interval))
    assert found["upper_limit"]["value"] == pytest.approx(differences.mean() + 1.959964 * differences.std(ddof=1))
    assert found["lower_limit"]["low"] < found["lower_limit"]["value"] < found["lower_limit"]["high"] < found["bias"]["value"]


@pytest.mark.parametrize("tails", [None, 5])
def test_the_intervals_of_the_limits_hold_also_where_tails_are_long(tails):
    rng = np.random.default_rng(0)
    law = stats.norm() if tails is None else stats.t(tails)
    truth = 1.959964 * law.std()
    held = []
    for _ in range(400):
        found = agreement(law.rvs(40, random_state=rng), 0.95)
        held += [
            found["upper_limit"]["low"] <= truth <= found["upper_limit"]["high"],
            found["lower_limit"]["low"] <= -truth <= found["lower_limit"]["high"],
        ]
    assert np.mean(held) >= (0.94 if tails is None else 0.9)


def test_a_percentile_has_its_exact_interval():
    rng = np.random.default_rng(1)
    truth, held = stats.norm.ppf(0.95), []
    for _ in range(600):
        value, low, high = normal_percentile(rng.normal(size=8), 0.95, 0.9)
        assert low < value < high
        held.append(low <= truth <= high)
    assert np.mean(held) == pytest.approx(0.9, abs=0.03)


def test_where_nothing_varies_there_is_no_interval():
    found = agreement(np.full(6, 0.01), 0.95)
    assert found["upper_limit"]["value"] == pytest.approx(0.01) and found["upper_limit"]["low"] is None and found["bias"]["low"] is None
    assert agreement(np.array([0.1]), 0.95) is None
    assert agreement(np.array([0.1, 0.2]), 0.95)["upper_limit"]["low"] is None
