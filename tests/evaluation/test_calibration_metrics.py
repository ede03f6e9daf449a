"""The numbers of calibration, against scikit-learn and by hand; intervals that hold the truth."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss

from malaria_exp.evaluation.calibration_metrics import CURVE_BINS, ERROR_BINS, calibration_metrics
from malaria_exp.evaluation.predictions import sigmoid


def cells(patients=20, each=60, seed=0, slope=1.5, intercept=-0.4, spread=0.3):
    """Scores whose logit of the truth is slope * logit + intercept, patients apart by `spread`."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), each)
    logits = rng.normal(0, 2, patients * each)
    truth = slope * logits + intercept + spread * rng.normal(size=patients)[patient]
    return (rng.random(len(truth)) < sigmoid(truth)).astype(int), sigmoid(logits), patient.astype(str)


def test_slope_is_that_of_an_unpenalized_logistic_regression_and_intercept_that_with_a_slope_of_1():
    labels, scores, patients = cells()
    found = calibration_metrics(labels, scores, patients, confidence=0.95)
    logits = np.log(scores / (1 - scores))
    fitted = LogisticRegression(C=np.inf, tol=1e-10).fit(logits[:, None], labels)
    assert found["slope"]["value"] == pytest.approx(fitted.coef_[0, 0], rel=1e-4)
    # The scores, shifted by it, are right on average.
    assert sigmoid(logits + found["intercept"]["value"]).mean() == pytest.approx(labels.mean(), abs=1e-9)
    assert (found["log_loss"], found["brier"]) == pytest.approx((log_loss(labels, scores), brier_score_loss(labels, scores)))


def test_the_intervals_hold_the_truth():
    hits = []
    for seed in range(150):
        found = calibration_metrics(*cells(9, 80, seed, slope=1.0, intercept=0.0, spread=0.0), confidence=0.95)
        hits.append([found[name]["low"] <= truth <= found[name]["high"] for name, truth in (("slope", 1.0), ("intercept", 0.0))])
    assert (np.mean(hits, axis=0) > 0.93).all()


def test_with_as_many_patients_as_cells_the_interval_is_that_of_the_likelihood():
    labels, scores, _ = cells(1, 4000, slope=1.0, intercept=0.0)
    found = calibration_metrics(labels, scores, np.arange(4000).astype(str), confidence=0.95)
    logits = np.log(scores / (1 - scores))
    columns = np.stack([np.ones(4000), logits], axis=1)
    fitted = LogisticRegression(C=np.inf, tol=1e-10).fit(logits[:, None], labels).predict_proba(logits[:, None])[:, 1]
    error = np.sqrt(np.linalg.inv((columns * (fitted * (1 - fitted))[:, None]).T @ columns)[1, 1])
    assert found["slope"]["high"] - found["slope"]["low"] == pytest.approx(2 * 1.96 * error, rel=0.05)


def test_the_parts_make_the_brier_score_where_the_scores_of_a_bin_are_equal():
    labels, scores, patients = cells()
    scores = scores.round(1)
    found = calibration_metrics(labels, scores, patients, confidence=0.95)
    assert found["reliability"] - found["resolution"] + found["uncertainty"] == pytest.approx(found["brier"], abs=1e-12)
    fraction, score = calibration_curve(labels, scores, n_bins=11, strategy="uniform")
    share = np.unique(scores, return_counts=True)[1] / len(scores)
    assert found["ece"] == pytest.approx(share @ np.abs(fraction - score))


def test_the_errors_bins_hold_equally_many_cells_and_the_curves_are_equally_wide():
    labels, scores, patients = cells(20, 60)
    found = calibration_metrics(labels, scores, patients, confidence=0.95)
    fraction, score = calibration_curve(labels, scores, n_bins=ERROR_BINS, strategy="quantile")
    assert found["ece"] == pytest.approx(np.abs(fraction - score).mean(), rel=1e-6)
    fraction, score = calibration_curve(labels, scores, n_bins=CURVE_BINS, strategy="uniform")
    np.testing.assert_allclose(found["curve"]["fraction"], fraction)
    np.testing.assert_allclose(found["curve"]["score"], score)
    assert sum(found["curve"]["cells"]) == len(labels)
    low, high = (np.array(found["curve"][end]) for end in ("low", "high"))
    assert (low <= fraction).all() and (fraction <= high).all() and (low >= 0).all() and (high <= 1).all()


def test_the_order_of_the_cells_changes_nothing_also_among_equal_scores():
    labels, scores, patients = cells()
    scores, order = scores.round(1), np.random.default_rng(1).permutation(len(labels))
    one, two = (calibration_metrics(labels[rows], scores[rows], patients[rows], confidence=0.9) for rows in (slice(None), order))
    assert two["ece"] == pytest.approx(one["ece"]) and two["slope"] == pytest.approx(one["slope"])


@pytest.mark.parametrize(
    ("labels", "scores", "defined"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], {"intercept"}),
        ([1, 1], [0.5, 1.0], set()),
        ([0, 1], [0.7, 0.7], {"intercept"}),
        ([0, 1, 0, 1], [0.0, 1.0, 1.0, 0.0], {"intercept", "slope"}),
    ],
)
def test_what_is_not_defined_is_nan_and_the_rest_is_finite(labels, scores, defined):
    found = calibration_metrics(np.array(labels), np.array(scores), None, confidence=0.95)
    assert {name for name in ("slope", "intercept") if found[name]["value"] is not None} == defined
    assert np.isfinite([found[name] for name in ("ece", "brier", "log_loss", "reliability", "resolution", "uncertainty")]).all()


def test_scores_before_calibration_are_measured_alike():
    labels, scores, patients = cells()
    found = calibration_metrics(labels, sigmoid(1.5 * np.log(scores / (1 - scores)) - 0.4), patients, confidence=0.95, uncalibrated=scores)
    assert found["uncalibrated"]["slope"]["value"] == pytest.approx(1.5 * found["slope"]["value"], rel=1e-4)
    assert found["ece"] < found["uncalibrated"]["ece"] and found["log_loss"] < found["uncalibrated"]["log_loss"]
