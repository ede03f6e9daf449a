"""Limits agree with SciPy where cells are independent, and never are a point where nothing varies."""

import numpy as np
import pytest
from scipy import stats

from malaria_exp.evaluation.intervals.clustered_variance import Spread
from malaria_exp.evaluation.intervals.limits import FISHER, LOG, LOGIT, rate_limits, scale_limits


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_a_rate_of_independent_cells_has_the_limits_of_clopper_and_pearson(confidence):
    found = rate_limits(0.9, Spread(np.array(0.9 * 0.1 / 50), np.array(1e9), np.array(50.0)), 1e9, confidence)
    exact = stats.binomtest(45, 50).proportion_ci(confidence, "exact")
    assert found == pytest.approx((exact.low, exact.high), rel=1e-6)


def test_without_spread_each_patient_counts_once():
    still = Spread(np.array(0.0), np.array(11.0), np.array(12.0))
    exact = stats.binomtest(12, 12).proportion_ci(0.95, "exact")
    assert rate_limits(1.0, still, 5000, 0.95) == pytest.approx((exact.low, 1.0))
    assert scale_limits(1.0, still, LOGIT, 0.95) == pytest.approx((exact.low, 1.0))
    assert scale_limits(1.0, still, FISHER, 0.95) == pytest.approx((2 * exact.low - 1, 1.0))
    assert rate_limits(0.0, still, 5000, 0.95) == pytest.approx((0.0, 1 - exact.low))
    assert scale_limits(0.3, still, LOG, 0.95) is None


@pytest.mark.parametrize(("scale", "value"), [(LOGIT, 0.99), (LOG, 0.05), (FISHER, -0.4)])
def test_limits_on_a_scale_stay_in_bounds_and_near_the_value_are_those_of_t(scale, value):
    low, high = scale_limits(value, Spread(np.array(25.0), np.array(3.0), np.array(4.0)), scale, 0.95)
    assert {LOGIT: 0, LOG: 0, FISHER: -1}[scale] <= low < value < high
    assert scale is LOG or high <= 1
    low, high = scale_limits(value, Spread(np.array(1e-10), np.array(3.0), np.array(4.0)), scale, 0.95)
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.975, 3) * 1e-5, rel=0.01)
