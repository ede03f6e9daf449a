"""How far patients pull the metrics of joined runs, and how alike the pulls of two trainings are."""

import numpy as np
import pytest
from clustered_cells import clustered_cells

from malaria_exp.evaluation.metrics import compute
from malaria_exp.evaluation.pooled_metrics import patient_pulls, together
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.thresholds import Threshold


def test_a_patient_pulls_a_metric_as_far_as_it_moves_without_that_patient():
    labels, scores, patients = clustered_cells(np.random.default_rng(0), patients=60, largest=30)
    predictions = Predictions(np.arange(len(labels)), patients, patients, labels, scores, np.full(len(labels), "test"))
    row_runs = np.unique(patients, return_inverse=True)[1] % 2
    pulls = patient_pulls(predictions, [{"own": Threshold(0.3, "")}, {"own": Threshold(0.6, "")}], row_runs)
    decided = (scores >= np.array([0.3, 0.6])[row_runs]).astype(float)
    for (name, metric), own in pulls.items():
        values = decided if name else scores
        moved = [
            compute(labels, values, 0.5)[metric] - compute(labels[kept], values[kept], 0.5)[metric]
            for kept in (patients != one for one in np.unique(patients))
        ]
        if metric in ("auc", "sensitivity", "specificity"):
            assert np.corrcoef(own, moved)[0, 1] > 0.99
            assert np.linalg.norm(own) == pytest.approx(np.linalg.norm(moved), rel=0.1)


def test_equal_trainings_share_all_of_their_spread_and_unrelated_ones_a_root():
    first, second = np.array([1.0, -1.0, 0.0]), np.array([0.0, 0.0, np.sqrt(2)])
    assert together([first, first]) == pytest.approx(1)
    assert together([first, second]) == pytest.approx(np.sqrt(1 / 2))
    assert together([np.zeros(3)] * 2) == 1
