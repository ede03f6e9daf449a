"""Means over trainings: what their intervals cover, and where they become those of a single training, or a textbook's."""

import numpy as np
import pytest
from scipy import stats

from malaria_exp.evaluation.repetitions import over_seeds, over_splits


def cell(value, low, high, patients=20.0):
    return {"value": value, "low": low, "high": high, "patients": patients}


def trainings(rng, patients, seeds, *, of_patient, of_seed, of_both):
    """Cells of trainings around .5 on the same patients, with the exact interval of each over its patients."""
    values = (
        0.5 + of_patient * rng.normal(size=patients) + of_seed * rng.normal(size=(seeds, 1)) + of_both * rng.normal(size=(seeds, patients))
    )
    half = stats.t.ppf(0.975, patients - 1) * values.std(axis=1, ddof=1) / np.sqrt(patients)
    return [cell(float(m), float(m - h), float(m + h), float(patients)) for m, h in zip(values.mean(axis=1), half, strict=True)]


@pytest.mark.parametrize("of_seed", [0.001, 0.01, 0.02])
def test_the_interval_covers_new_patients_and_new_seeds(of_seed):
    rng = np.random.default_rng(0)
    hits = alone = 0
    for _ in range(400):
        cells = trainings(rng, 20, 5, of_patient=0.03, of_seed=of_seed, of_both=0.01)
        pooled = over_seeds("auc", cells, 0.95)
        hits += pooled["low"] <= 0.5 <= pooled["high"]
        alone += cells[0]["low"] <= 0.5 <= cells[0]["high"]
    assert 0.93 <= hits / 400 <= 0.985
    if of_seed > 0.001:
        assert alone / 400 < 0.9, "one training's interval knows nothing of other seeds"


def test_equal_trainings_have_the_interval_of_one():
    one = cell(0.9, 0.8, 0.94)
    assert over_seeds("auc", [one] * 3, 0.95) == {**one, "sd": 0.0}


def test_seeds_widen_the_interval_on_both_sides_and_within_what_the_metric_can_be():
    cells = [cell(0.97, 0.93, 0.99), cell(0.99, 0.95, 1.0), cell(0.98, 0.94, 0.995)]
    pooled = over_seeds("sensitivity", cells, 0.95)
    assert pooled["value"] == pytest.approx(0.98)
    assert pooled["sd"] == pytest.approx(np.std([0.97, 0.98, 0.99], ddof=1))
    assert pooled["low"] < 0.94
    assert 0.995 < pooled["high"] <= 1.0
    assert over_seeds("mcc", [cell(-0.9, -1.0, -0.2), cell(0.9, 0.2, 1.0)], 0.95)["low"] == -1.0


def test_what_one_training_lacks_the_mean_lacks():
    assert over_seeds("ppv", [cell(0.9, 0.8, 0.95), cell(None, None, None)], 0.95)["value"] is None
    pooled = over_seeds("auc", [cell(0.9, 0.8, None, None), cell(0.8, 0.7, 0.9)], 0.95)
    assert (pooled["value"], pooled["high"], pooled["patients"]) == (pytest.approx(0.85), None, None)
    assert pooled["low"] is not None


def test_splits_have_the_corrected_resampled_t_of_weka():
    """Ten-times ten-fold differences: t = mean / sqrt((1/100 + 1/9) s^2), as Bouckaert and Frank (2004) give it."""
    values = np.random.default_rng(0).normal(0.8, 0.05, 100).tolist()
    found = over_splits("auc", float(np.mean(values)), values, 1 / 9, 0.95)
    half = stats.t.ppf(0.975, 99) * np.sqrt((1 / 100 + 1 / 9) * np.var(values, ddof=1))
    assert (found["low"], found["high"]) == pytest.approx((np.mean(values) - half, np.mean(values) + half))
    assert over_splits("auc", 0.8, [0.8], 0.25, 0.95)["low"] is None
    assert over_splits("auc", None, [0.8, None], 0.25, 0.95)["value"] is None
