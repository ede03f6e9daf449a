"""The variance over patients is the textbook's where one exists, and its degrees of freedom are those of the matrices."""

import numpy as np
import pytest

from malaria_exp.evaluation.intervals.clustered_variance import Pull, _satterthwaite, clustered_variance, effective_patients


def test_patients_of_equal_size_give_the_variance_of_a_mean_and_one_degree_less_than_patients():
    values = np.random.default_rng(0).normal(size=9)
    found = clustered_variance([Pull(np.full(9, 40.0), values - values.mean())])
    assert (found.variance, found.df, found.patients) == pytest.approx((values.var(ddof=1) / 9, 8, 9))


def test_the_degrees_of_freedom_are_those_of_the_quadratic_form():
    rng = np.random.default_rng(1)
    cells, variances = rng.integers(1, 300, 7).astype(float), rng.random(7)
    weights = cells / cells.sum()
    for factors in (weights, weights**2 / (1 - weights)):
        residual = np.eye(7) - np.outer(np.ones(7), weights)
        form = residual.T @ np.diag(factors) @ residual @ np.diag(variances)
        expected = np.trace(form) ** 2 / np.trace(form @ form)
        assert _satterthwaite(weights, variances, factors) == pytest.approx(expected)


@pytest.mark.parametrize("between", [0.0, 0.02])
def test_the_variance_is_right_on_average(between):
    rng = np.random.default_rng(2)
    cells = rng.integers(20, 60, 30).astype(float)
    own = rng.normal(0.7, np.sqrt(between), (4000, 30))
    rates = own + rng.normal(0, np.sqrt(0.2 / cells), own.shape)
    means = (cells * rates).sum(axis=1) / cells.sum()
    within = 0.2 * rng.chisquare(cells - 1, own.shape)
    deviations = rates - means[:, None]
    plain = clustered_variance([Pull(cells, deviations)]).variance.mean()
    by_cells = clustered_variance([Pull(cells, deviations, within)]).variance.mean()
    # The larger of two estimates may lie a little above the truth.
    assert 0.95 < by_cells / means.var() < 1.25
    assert 0.95 < plain / means.var() < 1.25


def test_a_patient_with_most_cells_leaves_few_degrees_of_freedom_and_effective_patients():
    cells = np.array([500.0, 10, 10, 10, 10, 10])
    found = clustered_variance([Pull(cells, np.array([0.01, -0.1, -0.1, -0.1, -0.1, -0.1]))])
    assert found.df < 3
    assert found.patients == pytest.approx(effective_patients(cells)) == pytest.approx(550**2 / (500**2 + 500))


def test_errors_of_one_patient_in_both_classes_add_up():
    cells, deviations = np.full(8, 10.0), np.array([1.0, -1] * 4)
    alike = clustered_variance([Pull(cells, deviations), Pull(cells, deviations)]).variance
    opposite = clustered_variance([Pull(cells, deviations), Pull(cells, -deviations)]).variance
    assert alike == pytest.approx(4 * clustered_variance([Pull(cells, deviations)]).variance)
    assert opposite == pytest.approx(0, abs=1e-12)
