"""Intervals hold the truth as often as they say, and where none is possible there is none."""

import numpy as np
import pytest
from scipy.stats import norm

from malaria_exp.data.cell_table import UNKNOWN
from malaria_exp.evaluation.intervals.clustered import ClusteredIntervals
from malaria_exp.evaluation.intervals.interval_interface import MEANS_OF_PATIENTS
from malaria_exp.evaluation.metrics import METRICS, compute
from malaria_exp.utils.errors import ConfigError
from tests.clustered_cells import clustered_cells

METHOD = ClusteredIntervals()


@pytest.mark.long
@pytest.mark.parametrize("patients", [9, 20])
def test_at_least_93_of_100_intervals_hold_the_truth(patients):
    rng, runs = np.random.default_rng(patients), 250
    wide = np.hypot(1, 0.5)
    truth = {"sensitivity": norm.cdf(1.9 / wide), "specificity": norm.cdf(1.9 / wide), "auc": norm.cdf(3.8 / (wide * np.sqrt(2)))}
    held = dict.fromkeys(truth, 0)
    for _ in range(runs):
        found = METHOD(*clustered_cells(rng, patients), {"at": 0.5})
        cells = found["at"]["at"] | found["ranking"]
        for name, value in truth.items():
            held[name] += cells[name]["low"] <= value <= cells[name]["high"]
    assert min(held.values()) / runs >= 0.93, held


def test_every_metric_lies_within_its_interval_and_more_confidence_is_wider():
    labels, scores, patients = clustered_cells(np.random.default_rng(3))
    order = np.random.default_rng(1).permutation(len(labels))
    wide, narrow = (METHOD(labels, scores, patients, {"at": 0.5}, confidence=confidence) for confidence in (0.99, 0.5))
    shuffled = METHOD(labels[order], scores[order], patients[order], {"at": 0.5}, confidence=0.99)
    plain = compute(labels, scores, 0.5)
    cells, inner, again = (found["at"]["at"] | found["ranking"] for found in (wide, narrow, shuffled))
    assert set(cells) == {*METRICS, *MEANS_OF_PATIENTS}
    for name, cell in cells.items():
        assert cell["value"] == pytest.approx(plain.get(name, cell["value"]))
        assert cell["low"] < inner[name]["low"] < cell["value"] < inner[name]["high"] < cell["high"]
        assert 1 < cell["patients"] <= 12
        assert cell == pytest.approx(again[name])


def test_the_mean_over_patients_weighs_them_the_same():
    labels, scores = np.ones(102, int), np.append(np.ones(100), [0.0, 1.0])
    patients = np.append(np.full(100, "heavy"), ["light", "third"])
    found = METHOD(labels, scores, patients, {"at": 0.5})["at"]["at"]
    assert found["mean_patient_sensitivity"]["value"] == pytest.approx(2 / 3)
    assert found["mean_patient_sensitivity"]["patients"] == 3
    assert found["sensitivity"]["value"] == pytest.approx(101 / 102)
    assert found["mean_patient_specificity"] == {"value": None, "low": None, "high": None, "patients": None}


def test_no_error_gives_a_bound_by_patients():
    patients, labels = np.repeat([f"P{i}" for i in range(12)], 50), np.tile([0, 1], 300)
    found = METHOD(labels, labels * 0.9 + 0.05, patients, {"at": 0.5})
    for name in (
        "sensitivity",
        "specificity",
        "accuracy",
        "ppv",
        "npv",
        "f1",
        "mcc",
        "mean_patient_sensitivity",
        "auc",
        "average_precision",
    ):
        cell = (found["at"]["at"] | found["ranking"])[name]
        assert cell["value"] == cell["high"] == 1
        assert cell["low"] < 0.8


def test_one_patient_of_a_class_gives_no_interval_of_what_rests_on_it():
    labels = np.array([1, 0, 1, 0, 0, 0, 0])
    scores, patients = np.array([0.9, 0.2, 0.4, 0.6, 0.1, 0.2, 0.7]), np.array(["a", "a", "a", "b", "b", "c", "c"])
    found = METHOD(labels, scores, patients, {"at": 0.5})
    cells = found["at"]["at"] | found["ranking"]
    assert found["reason"] is None
    assert cells["specificity"]["low"] is not None
    for name in ("sensitivity", "accuracy", "auc", "log_loss", "mean_patient_sensitivity"):
        assert cells[name]["value"] is not None
        assert cells[name]["low"] is cells[name]["high"] is None


@pytest.mark.parametrize(
    ("patients", "reason"),
    # Whose the other cells are, nobody knows: perhaps P1's.
    [(["P1"] * 4, "one patient only"), ([UNKNOWN] * 4, "not known"), (["P1", "P2", "P3", UNKNOWN], "not known")],
)
def test_no_interval_comes_with_a_reason(patients, reason):
    found = METHOD(np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.6, 0.7]), np.array(patients), {"at": 0.5})
    assert reason in found["reason"]
    for cell in (found["at"]["at"] | found["ranking"]).values():
        assert cell["value"] is not None
        assert cell["low"] is cell["high"] is cell["patients"] is None


def test_bad_confidence_is_refused():
    with pytest.raises(ConfigError, match="confidence"):
        METHOD(np.array([0, 1]), np.array([0.1, 0.9]), np.array(["a", "b"]), {}, confidence=1.0)
