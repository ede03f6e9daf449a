"""The ROC band lies around the curve and never is a point in the corner."""

import numpy as np

from malaria_exp.evaluation.intervals.clustered import ClusteredIntervals
from malaria_exp.evaluation.intervals.roc_band import roc_band
from malaria_exp.evaluation.metrics import Ranking
from tests.clustered_cells import clustered_cells


def test_the_band_holds_the_curve_rises_and_is_wider_than_sensitivity_alone():
    labels, scores, patients = clustered_cells(np.random.default_rng(2))
    grid = np.linspace(0, 1, 41)
    low, high = roc_band(labels, scores, patients, grid)
    tp, fp = Ranking(labels, scores).curve()
    curve = np.interp(grid, np.append(0, fp / fp[-1]), np.append(0, tp / tp[-1]))
    assert (low <= curve + 0.02).all()
    assert (curve <= high + 0.02).all()
    assert (np.diff(low) >= 0).all()
    assert (np.diff(high) >= 0).all()
    # The rate of false positives is known no better than the sensitivity.
    at = ClusteredIntervals()(labels, scores, patients, {"at": 0.5})["at"]["at"]
    point = roc_band(labels, scores, patients, np.array([1 - at["specificity"]["value"]]))
    assert point[1][0] - point[0][0] > at["sensitivity"]["high"] - at["sensitivity"]["low"] - 0.02


def test_there_is_no_band_without_two_patients_of_each_class():
    labels, scores, patients = clustered_cells(np.random.default_rng(2))
    grid = np.linspace(0, 1, 5)
    assert roc_band(labels, scores, np.full(len(labels), "P"), grid) is None
    assert roc_band(np.zeros_like(labels), scores, patients, grid) is None
    assert roc_band((labels == 1) & (patients == "P0"), scores, patients, grid) is None
