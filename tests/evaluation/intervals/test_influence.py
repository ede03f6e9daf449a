"""A patient's pull is the derivative of the metric by the weight of the patient's cells."""

import numpy as np
import pytest

from malaria_exp.evaluation.intervals.influence import PatientCells, ranking_influence, rate_pulls
from malaria_exp.evaluation.metrics import METRICS, compute
from tests.clustered_cells import clustered_cells


@pytest.mark.parametrize("decimals", [1, 6])
def test_pulls_are_derivatives_at_a_fixed_prevalence(decimals):
    labels, scores, patients = clustered_cells(np.random.default_rng(4), patients=6, largest=20)
    scores = np.round(scores, decimals)
    patient = np.unique(patients, return_inverse=True)[1]
    cells = PatientCells.of(labels, scores, patient)
    pulls = rate_pulls(cells, 0.4) | {name: cells.pulls(values) for name, values in ranking_influence(cells).items()}
    step = 1e-6
    for one in range(6):
        for label in {0, 1} & set(labels[patient == one].tolist()):
            of_class = labels == label
            moved = []
            for sign in (1, -1):
                weights = 1 + sign * step * (of_class & (patient == one))
                weights[of_class] *= of_class.sum() / weights[of_class].sum()
                moved.append(compute(labels, scores, 0.4, weights))
            for name, of_metric in pulls.items():
                slope = (moved[0][name] - moved[1][name]) / (2 * step)
                found = [pull for pull in of_metric if np.array_equal(pull.cells, cells.parasitized if label else cells.uninfected)]
                expected = sum(float(pull.cells[one] / pull.cells.sum() * pull.deviations[one]) for pull in found)
                assert slope == pytest.approx(expected, abs=1e-8), (name, label)
    assert set(pulls) == set(METRICS)


def test_one_class_leaves_the_metrics_that_say_something():
    labels, scores, patient = np.zeros(6, int), np.array([0.1, 0.2, 0.7, 0.3, 0.1, 0.6]), np.repeat([0, 1, 2], 2)
    cells = PatientCells.of(labels, scores, patient)
    assert set(rate_pulls(cells, 0.5)) == {"specificity", "accuracy"}
    assert set(ranking_influence(cells)) == {"log_loss", "brier"}
