"""Metrics equal scikit-learn's, weights equal repetition, and what is undefined is nan."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from malaria_exp.evaluation.metrics import LOG_LOSS_EPSILON, METRICS, Counts, Ranking, cell_losses, compute, count, direction, rates
from malaria_exp.utils.errors import ConfigError

# Few distinct scores make ties the rule.
scores_in_steps = st.integers(0, 6).map(lambda step: step / 6)


@st.composite
def cells(draw: st.DrawFn, both: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = draw(st.lists(st.tuples(st.integers(0, 1), scores_in_steps, st.integers(0, 3)), min_size=2, max_size=40))
    labels, scores, weights = (np.array(column) for column in zip(*rows, strict=True))
    if both:
        labels[:2], weights[:2] = (0, 1), np.maximum(weights[:2], 1)
    return labels, scores.astype(float), weights.astype(float)


@given(cells())
@settings(deadline=None)
def test_ranking_equals_scikit_learn_with_ties_and_weights(generated):
    labels, scores, weights = generated
    for given_weights in (None, weights, weights * 0.37):
        auc, average_precision = Ranking(labels, scores).auc_and_average_precision(given_weights)
        assert auc == pytest.approx(reference.roc_auc_score(labels, scores, sample_weight=given_weights), abs=1e-12)
        expected = reference.average_precision_score(labels, scores, sample_weight=given_weights)
        assert average_precision == pytest.approx(expected, abs=1e-12)


@given(cells(), scores_in_steps)
@settings(deadline=None)
def test_compute_equals_scikit_learn(generated, threshold):
    labels, scores, weights = generated
    predicted = (scores >= threshold).astype(int)
    got = compute(labels, scores, threshold, weights)
    options = {"sample_weight": weights, "zero_division": np.nan}
    expected = {
        "accuracy": reference.accuracy_score(labels, predicted, sample_weight=weights),
        "sensitivity": reference.recall_score(labels, predicted, **options),
        "specificity": reference.recall_score(labels, predicted, pos_label=0, **options),
        "ppv": reference.precision_score(labels, predicted, **options),
        "npv": reference.precision_score(labels, predicted, pos_label=0, **options),
        "f1": reference.f1_score(labels, predicted, **options),
        "log_loss": reference.log_loss(labels, np.clip(scores, LOG_LOSS_EPSILON, 1 - LOG_LOSS_EPSILON), sample_weight=weights),
        "brier": reference.brier_score_loss(labels, scores, sample_weight=weights),
    }
    for name, value in expected.items():
        assert got[name] == pytest.approx(value, abs=1e-9, nan_ok=True), name
    if not np.isnan(got["mcc"]):
        assert got["mcc"] == pytest.approx(reference.matthews_corrcoef(labels, predicted, sample_weight=weights), abs=1e-9)


@given(cells(both=False), scores_in_steps)
@settings(deadline=None)
def test_integer_weights_equal_repeated_cells(generated, threshold):
    labels, scores, weights = generated
    if not weights.sum():
        weights = weights + 1
    repeats = weights.astype(int)
    weighted = compute(labels, scores, threshold, weights)
    repeated = compute(np.repeat(labels, repeats), np.repeat(scores, repeats), threshold)
    assert weighted == pytest.approx(repeated, abs=1e-12, nan_ok=True)


@given(cells(), scores_in_steps)
@settings(deadline=None)
def test_many_weightings_at_once_equal_one_by_one(generated, threshold):
    labels, scores, weights = generated
    table = np.stack([weights, weights[::-1], np.ones_like(weights)])
    together = rates(count(labels, scores, threshold, table))
    auc, average_precision = Ranking(labels, scores).auc_and_average_precision(table)
    for row, row_weights in enumerate(table):
        alone = compute(labels, scores, threshold, row_weights)
        assert {name: values[row] for name, values in together.items()} == pytest.approx(
            {name: alone[name] for name in together}, nan_ok=True
        )
        assert (auc[row], average_precision[row]) == pytest.approx((alone["auc"], alone["average_precision"]), nan_ok=True)


@given(cells(), scores_in_steps)
@settings(deadline=None)
def test_swapping_the_classes_swaps_the_rates(generated, threshold):
    labels, scores, _ = generated
    counts = count(labels, scores, threshold)
    swapped = Counts(tp=counts.tn, fp=counts.fn, tn=counts.tp, fn=counts.fp)
    pairs = (("sensitivity", "specificity"), ("specificity", "sensitivity"), ("ppv", "npv"), ("npv", "ppv"), ("mcc", "mcc"))
    for name, other in pairs:
        assert getattr(counts, name) == pytest.approx(getattr(swapped, other), nan_ok=True)
    assert compute(1 - labels, 1 - scores, 0.5)["auc"] == pytest.approx(compute(labels, scores, 0.5)["auc"])
    assert counts.tp + counts.fp + counts.tn + counts.fn == len(labels)


def test_a_score_at_the_threshold_is_predicted_parasitized():
    assert vars(count(np.array([1, 0, 1, 0]), np.array([0.5, 0.5, 0.4, 0.4]), 0.5)) == {"tp": 1, "fp": 1, "tn": 1, "fn": 1}


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_leaves_undefined_what_needs_two(label):
    got = compute(np.full(4, label), np.array([0.1, 0.4, 0.6, 0.9]), 0.5)
    undefined = {name for name, value in got.items() if np.isnan(value)}
    assert undefined == {"auc", "average_precision", "mcc", "specificity" if label else "sensitivity"}


def test_no_weight_at_all_is_undefined():
    assert np.isnan(list(compute(np.array([0, 1]), np.array([0.2, 0.8]), 0.5, np.zeros(2)).values())).all()


def test_a_certain_error_costs_a_finite_log_loss():
    losses, squares = cell_losses(np.array([1, 0]), np.array([0.0, 1.0]))
    assert losses == pytest.approx(-np.log(LOG_LOSS_EPSILON))
    assert squares.tolist() == [1, 1]


@pytest.mark.parametrize(("labels", "scores"), [([], []), ([0, 1], [0.5]), ([0, 2], [0.1, 0.2]), ([0, 1], [0.1, np.nan]), ([[0]], [[0.1]])])
def test_bad_input_is_refused(labels, scores):
    with pytest.raises(ValueError, match="Expected"):
        compute(np.array(labels), np.array(scores), 0.5)


@given(cells())
@settings(deadline=None)
def test_better_scores_go_the_way_the_direction_says(generated):
    labels, scores, _ = generated
    worse, perfect = compute(labels, scores, 0.5), compute(labels, labels.astype(float), 0.5)
    for name in METRICS:
        if not np.isnan(worse[name]):
            assert (perfect[name] >= worse[name]) if direction(name) == "max" else (perfect[name] <= worse[name]), name


def test_directions_of_monitors():
    assert direction("val_loss") == direction("loss") == "min"
    assert all(direction(f"val_{name}") == metric.direction for name, metric in METRICS.items())
    assert [name for name in METRICS if direction(name) == "min"] == ["log_loss", "brier"]


@pytest.mark.parametrize(
    ("name", "hint"), [("val_acuracy", "'val_accuracy'"), ("val_precision", "'val_ppv'"), ("recall", "'sensitivity'"), ("error", "Allowed")]
)
def test_an_unknown_metric_is_refused_with_help(name, hint):
    with pytest.raises(ConfigError, match=hint) as raised:
        direction(name)
    assert all(metric in str(raised.value) for metric in METRICS)


def test_importing_metrics_imports_nothing_heavy():
    heavy = ["tensorflow", "sklearn", "scipy.stats", "matplotlib", "jinja2", "PIL"]
    program = f"import sys, malaria_exp.evaluation.evaluate; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == "[]"
