"""Paired tests over patients: known values, and what must hold whichever model comes first and whatever the order of the cells."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn_metrics

from malaria_exp.evaluation.holm import holm
from malaria_exp.evaluation.metrics import METRICS
from malaria_exp.evaluation.paired_tests import PairedCells, Scored, compare_models

OF_SKLEARN = {
    "auc": lambda label, score, _: sklearn_metrics.roc_auc_score(label, score),
    "average_precision": lambda label, score, _: sklearn_metrics.average_precision_score(label, score),
    "brier": lambda label, score, _: sklearn_metrics.brier_score_loss(label, score),
    "log_loss": lambda label, score, _: sklearn_metrics.log_loss(label, score),
    "accuracy": lambda label, _, predicted: sklearn_metrics.accuracy_score(label, predicted),
    "sensitivity": lambda label, _, predicted: sklearn_metrics.recall_score(label, predicted),
    "specificity": lambda label, _, predicted: sklearn_metrics.recall_score(label, predicted, pos_label=0),
    "ppv": lambda label, _, predicted: sklearn_metrics.precision_score(label, predicted),
    "npv": lambda label, _, predicted: sklearn_metrics.precision_score(label, predicted, pos_label=0),
    "f1": lambda label, _, predicted: sklearn_metrics.f1_score(label, predicted),
    "mcc": lambda label, _, predicted: sklearn_metrics.matthews_corrcoef(label, predicted),
}


def scored(*scores):
    scores = np.array(scores)
    return Scored(scores, scores >= 0.5)


def cells(patients=12, each=20, better=0.0, seeds=(1, 1), seed=0):
    """Cells of patients who have both classes, scored with two decimals, so that there are ties; `better` separates the model's classes more."""
    rng = np.random.default_rng(seed)
    patient, label = np.repeat(np.arange(patients), each), rng.integers(0, 2, patients * each)
    logits = rng.normal(0, 0.3, patients)[patient] + (2 * label - 1) * 0.8
    own = [
        [np.round(1 / (1 + np.exp(-logits - (2 * label - 1) * more + rng.normal(0, 0.8, len(label)))), 2) for _ in range(count)]
        for more, count in zip((better, 0.0), seeds, strict=True)
    ]
    return PairedCells(label, np.char.add("P", patient.astype(str)), scored(*own[0]), scored(*own[1]))


def swapped(one):
    return replace(one, model=one.reference, reference=one.model)


@pytest.mark.parametrize("metric", METRICS)
def test_the_values_are_those_of_scikit_learn_and_swapping_negates_the_difference_alone(metric):
    one = cells(better=0.5, seeds=(2, 1))
    found, other = compare_models([one], metric, resamples=500), compare_models([swapped(one)], metric, resamples=500)
    for side, value in ((one.model, found.model), (one.reference, found.reference)):
        expected = [OF_SKLEARN[metric](one.label, score, predicted) for score, predicted in zip(side.score, side.predicted, strict=True)]
        assert value == pytest.approx(np.mean(expected))
    assert found.value == pytest.approx(found.model - found.reference)
    assert found.low < found.value < found.high
    assert (other.value, other.low, other.high, other.p) == pytest.approx((-found.value, -found.high, -found.low, found.p))


def test_auc_of_one_cell_a_patient_is_the_test_of_delong_with_t():
    rng = np.random.default_rng(1)
    label = np.repeat([1, 0], [15, 25])
    first, second = (rng.normal(label * shift, 1) for shift in (1.5, 0.5))
    scores = [stats.norm.cdf(one) for one in (first, second)]
    found = compare_models([PairedCells(label, np.arange(40).astype(str), *map(scored, scores))], "auc")
    # DeLong, DeLong and Clarke-Pearson 1988: the variance of the placements of either class.
    placed = [
        ([np.mean(one[label == 0] < x) for x in one[label == 1]], [np.mean(one[label == 1] > x) for x in one[label == 0]])
        for one in (first, second)
    ]
    error = np.sqrt(sum(np.var(np.subtract(placed[0][kind], placed[1][kind]), ddof=1) / count for kind, count in ((0, 15), (1, 25))))
    assert found.p == pytest.approx(2 * stats.t.sf(abs(found.value) / error, 39))
    assert found.high - found.value == pytest.approx(stats.t.ppf(0.975, 39) * error)


def test_a_mean_over_patients_is_judged_like_students_paired_t():
    """Hesterberg's expansion is made for this: symmetric data, equal patients."""
    one = cells(patients=15, each=40, better=0.1)
    right = [side.predicted[0] == (one.label == 1) for side in (one.model, one.reference)]
    by_patient = np.subtract(*(side.reshape(15, 40).mean(axis=1) for side in right))
    known = stats.ttest_1samp(by_patient, 0)
    found = compare_models([one], "accuracy", resamples=50_000)
    assert found.value == pytest.approx(by_patient.mean())
    assert (found.low, found.high) == pytest.approx(tuple(known.confidence_interval()), abs=0.006)
    assert found.p == pytest.approx(known.pvalue, abs=0.03)
    # Far beyond what ten thousand resamples can tell.
    clear = compare_models([cells(patients=15, each=40, better=1.5)], "accuracy")
    assert clear.p < 1e-6 and clear.low > 0


@pytest.mark.parametrize("metric", ["auc", "sensitivity", "brier"])
def test_equal_models_do_not_differ_and_the_order_of_cells_is_nothing(metric):
    one = cells(better=0.3)
    same = compare_models([replace(one, reference=one.model)], metric, margin=0.1)
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)
    order = np.random.default_rng(2).permutation(len(one.label))
    sides = [Scored(side.score[:, order], side.predicted[:, order]) for side in (one.model, one.reference)]
    moved = compare_models([PairedCells(one.label[order], one.patient[order], *sides)], metric, resamples=500)
    plain = compare_models([one], metric, resamples=500)
    assert (moved.value, moved.low, moved.high, moved.p) == pytest.approx((plain.value, plain.low, plain.high, plain.p))


@pytest.mark.parametrize(
    ("metric", "change", "reason"),
    [
        ("sensitivity", {"patients": 1}, "1 patient with cells for it; a test needs 5"),
        ("auc", {"patients": 4}, "4 patients with cells for it; a test needs 5"),
        ("sensitivity", {"label": np.zeros(240, int)}, "undefined on these cells"),
        ("auc", {"label": np.repeat([1, 0], [40, 200])}, "one of the classes comes from fewer than 5 patients"),
        ("auc", {"patient": np.full(240, "unknown")}, "the patients are not known"),
    ],
)
def test_what_cannot_be_tested_has_no_interval_and_a_reason(metric, change, reason):
    one = cells(patients=change.pop("patients", 12))
    found = compare_models([replace(one, **change)], metric, margin=0.1)
    assert (found.reason, found.low, found.high, found.p, found.p_margin) == (reason, None, None, None, None)


@pytest.mark.parametrize("metric", ["auc", "log_loss"])
def test_not_worse_by_the_margin_is_where_the_interval_ends_before_it(metric):
    one, sign = cells(better=-0.1), 1 if METRICS[metric].direction == "max" else -1
    found = compare_models([one], metric, resamples=2000)
    worst = -(found.low if sign == 1 else -found.high)
    assert worst > 0
    p = [compare_models([one], metric, margin=worst + more, resamples=2000).p_margin for more in (-0.02, 0.02)]
    assert p[0] > 0.025 > p[1]


@pytest.mark.parametrize("metric", ["auc", "sensitivity"])
def test_seeds_that_differ_widen_the_interval_and_seeds_that_differ_by_patients_alone_do_not(metric):
    one = cells(patients=20, each=60, seeds=(3, 3))
    logits = np.log((one.model.score + 0.005) / (1.005 - one.model.score))
    apart = 1 / (1 + np.exp(-logits - np.array([[-1.0], [0.0], [1.0]]) * (1 + (one.label == 1))))
    half_width = {}
    for name, scores in (("alike", one.model.score), ("apart", apart)):
        found = compare_models([replace(one, model=scored(*scores))], metric, resamples=1000)
        single = [compare_models([replace(one, model=scored(score), reference=one.model)], metric, resamples=1000) for score in scores]
        half_width[name] = (found.high - found.low, np.std([s.model for s in single], ddof=1))
    (alike, _), (wide, spread) = half_width["alike"], half_width["apart"]
    # t of 2 degrees of freedom times the seeds' standard error is what they add, at most.
    assert alike < 0.2
    assert wide > alike + spread


def test_repeated_splits_are_averaged_and_their_patients_drawn_together():
    first, second = cells(seed=3), cells(seed=4)
    twice = compare_models([first, first], "auc")
    once = compare_models([first], "auc")
    assert (twice.value, twice.low, twice.high) == pytest.approx((once.value, once.low, once.high))
    both = compare_models([first, second], "auc")
    assert both.value == pytest.approx((once.value + compare_models([second], "auc").value) / 2)


def test_holm():
    """The example of R's p.adjust: 4 * .01, 3 * .02 against 3 * .015, never less than the one before."""
    assert holm([0.01, None, 0.04, 0.03, 0.005]) == pytest.approx([0.03, None, 0.06, 0.06, 0.02], nan_ok=True)
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
