"""Plans are compared with simulated studies."""

import numpy as np
import pytest
from clustered_cells import clustered_cells
from scipy import stats

from malaria_exp.evaluation.intervals.clustered import ClusteredIntervals
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.study_plan import (
    Measured,
    Part,
    expected_width,
    measure,
    patients_for_difference,
    patients_for_width,
)

RATE = 0.93
BETWEEN = 0.0028
# As sensitivity of the NIH cells.
SENSITIVITY = Measured("sensitivity", RATE, (Part(BETWEEN, RATE * (1 - RATE) - BETWEEN, 75),))


def study(rng, patients, cells):
    """Whether each cell of a study is found; patients' rates are beta distributed."""
    alike = RATE * (1 - RATE) / BETWEEN - 1
    rate = rng.beta(RATE * alike, (1 - RATE) * alike, patients)
    return (rng.random((patients, cells)) < rate[:, None]).astype(float)


@pytest.mark.parametrize(("patients", "cells"), [(25, 100), (60, 20)])
def test_the_planned_width_is_what_studies_have_on_average(patients, cells):
    rng, method = np.random.default_rng(0), ClusteredIntervals()
    patient = np.repeat(np.arange(patients), cells)
    widths = []
    for _ in range(150):
        found = method(np.ones(len(patient), int), study(rng, patients, cells).ravel(), patient, {"own": 0.5})["at"]["own"]["sensitivity"]
        widths.append(found["high"] - found["low"])
    assert expected_width(SENSITIVITY, patients, cells, 0.95) == pytest.approx(np.mean(widths), rel=0.06)


def test_the_planned_power_is_what_studies_have():
    patients = patients_for_difference(SENSITIVITY, 0.03, 50, 0.8, 0.95)
    rng = np.random.default_rng(1)
    found = [stats.ttest_1samp(study(rng, patients, 50).mean(axis=1) - RATE + 0.03, 0).pvalue < 0.05 for _ in range(1500)]
    assert 0.76 < np.mean(found) < 0.85


def test_more_cells_of_a_patient_help_less_and_less():
    needed = [patients_for_width(SENSITIVITY, 0.05, cells, 0.95) for cells in (10, 100, 1000, 100_000)]
    assert needed == sorted(needed, reverse=True)
    assert needed[2] - needed[3] <= 1 < needed[0] - needed[1]
    assert patients_for_width(SENSITIVITY, 0.0001, 100, 0.95) is None


def test_what_a_run_tells_is_what_its_patients_were_drawn_with():
    rng = np.random.default_rng(2)
    hits = study(rng, 600, 40).ravel()
    patient = np.repeat(np.arange(600), 40)
    cells = Predictions(np.arange(24000), patient, patient, np.ones(24000), hits, np.full(24000, "test"))
    found = measure(cells, hits > 0.5)
    (part,) = found["sensitivity"].parts
    assert part.between == pytest.approx(BETWEEN, rel=0.2)
    assert part.within == pytest.approx(RATE * (1 - RATE) - BETWEEN, rel=0.1)
    assert "needed" in found["specificity"]
    assert isinstance(found["auc"], str)


def test_the_interval_of_auc_of_as_many_patients_is_as_wide_as_planned():
    rng = np.random.default_rng(5)
    labels, scores, patient = clustered_cells(rng, patients=200, largest=20)
    cells = Predictions(np.arange(len(labels)), patient, patient, labels, scores, np.full(len(labels), "test"))
    measured = measure(cells, scores >= 0.5)["auc"]
    widths = []
    for _ in range(30):
        # 40 infected patients with 12 cells of each class.
        shift = rng.normal(0, 0.5, (2, 40))
        latent = np.concatenate(
            [1.9 + shift[0][:, None] + rng.normal(0, 1, (40, 12)), -1.9 + shift[1][:, None] + rng.normal(0, 1, (40, 12))], 1
        )
        auc = ClusteredIntervals()(np.tile(np.repeat([1, 0], 12), 40), 1 / (1 + np.exp(-latent.ravel())), np.repeat(np.arange(40), 24), {})[
            "ranking"
        ]["auc"]
        widths.append(auc["high"] - auc["low"])
    assert expected_width(measured, 40, 12, 0.95) == pytest.approx(np.mean(widths), rel=0.35)


def test_the_difference_of_two_models_that_err_on_the_same_cells_varies_less():
    labels, scores, patient = clustered_cells(np.random.default_rng(3), patients=60)
    cells = Predictions(np.arange(len(labels)), patient, patient, labels, scores, np.full(len(labels), "test"))
    alike = np.clip(scores + 0.02 * np.random.default_rng(4).normal(size=len(scores)), 0, 1)
    alone, pair = (measure(cells, scores >= 0.5, other) for other in (None, (alike, alike >= 0.5)))
    for metric in ("sensitivity", "specificity", "auc"):
        assert pair[metric].variance(50) < 0.5 * alone[metric].variance(50)
    assert isinstance(measure(cells, scores >= 0.5, (scores, scores >= 0.5))["auc"], str)
