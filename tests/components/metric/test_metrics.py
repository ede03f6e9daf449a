"""Every metric: any batching gives the same value, soft labels count as what they mostly are, and evaluation agrees."""

import csv
import itertools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from malaria_exp.config.registry import build, options
from malaria_exp.evaluation.metrics import METRICS, Ranking, compute, count
from malaria_exp.evaluation.predictions import sigmoid
from malaria_exp.utils.errors import ConfigError

NAMES = list(options("metric"))
COUNTS = ("tp", "fp", "tn", "fn")


def data(seed, cells=60, separation=1.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, cells)
    labels[:2] = 0, 1
    return labels, (rng.normal(size=cells) * 2 + separation * (2 * labels - 1)).astype(np.float32)


def value(metric, labels, logits, cuts=(), weights=None):
    metric.reset_state()
    edges = [0, *sorted(cuts), len(labels)]
    for start, stop in itertools.pairwise(edges):
        if stop > start:
            part = slice(start, stop)
            weight = None if weights is None else weights[part].astype(np.float32)
            metric.update_state(labels[part, None].astype(np.float32), logits[part, None], weight)
    return float(metric.result())


@pytest.fixture(scope="module")
def metrics():
    return {name: build("metric", name, {}) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), cuts=st.lists(st.integers(1, 59), max_size=5))
def test_any_batching_gives_the_same_value(name, metrics, seed, cuts):
    labels, logits = data(seed)
    assert value(metrics[name], labels, logits, cuts) == pytest.approx(value(metrics[name], labels, logits), rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), data_=st.data())
def test_soft_labels_count_as_what_they_mostly_are(name, metrics, seed, data_):
    labels, logits = data(seed)
    off = data_.draw(st.floats(0, 0.49))
    soft = np.abs(labels - off * np.random.default_rng(seed).random(len(labels)))
    assert value(metrics[name], soft, logits) == value(metrics[name], labels, logits)


@pytest.mark.parametrize("name", [name for name in NAMES if name in METRICS or name in COUNTS])
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), separation=st.floats(0, 4))
def test_evaluation_agrees(name, metrics, seed, separation):
    labels, logits = data(seed, separation=separation)
    found = value(metrics[name], labels, logits)
    if name in COUNTS:
        assert found == getattr(count(labels, sigmoid(logits.astype(float)), 0.5), name)
    else:
        # Two cells of 60 in one of the histogram's bins are a tie where evaluation knows an order.
        loose = 3e-3 if name == "auc" else 1e-5
        assert found == pytest.approx(compute(labels, sigmoid(logits.astype(float)), 0.5)[name], abs=loose, nan_ok=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_weight_of_two_is_the_cell_twice(name, metrics):
    labels, logits = data(5)
    weights = np.random.default_rng(1).integers(0, 3, len(labels))
    twice = np.repeat(np.arange(len(labels)), weights)
    assert value(metrics[name], labels, logits, weights=weights) == pytest.approx(
        value(metrics[name], labels[twice], logits[twice]), rel=1e-5
    )


@pytest.mark.parametrize(("wanted", "other"), [("sensitivity", "specificity"), ("specificity", "sensitivity")])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), floor=st.floats(0.05, 0.95))
def test_the_best_rate_above_a_floor_is_that_of_a_search_over_thresholds(wanted, other, seed, floor):
    labels, logits = data(seed)
    # On the bins' edges, so that the histogram knows each threshold.
    logits = np.round(logits, 1)
    metric = build("metric", f"{wanted}_at_{other}", {other: floor})
    best = 0.0
    for threshold in [*np.unique(logits), np.inf]:
        predicted = logits >= threshold - 1e-6
        rates = {"sensitivity": predicted[labels == 1].mean(), "specificity": 1 - predicted[labels == 0].mean()}
        if rates[other] >= floor - 1e-6:
            best = max(best, rates[wanted])
    assert value(metric, labels, logits) == pytest.approx(best, abs=1e-5)


@pytest.mark.parametrize("name", ["auc", "sensitivity", "sensitivity_at_specificity", "npv"])
def test_what_is_undefined_is_no_number(name, metrics):
    logits = np.array([1.0, 2.0], np.float32)
    assert np.isnan(value(metrics[name], np.zeros(2), logits))


def test_a_thousand_cells_of_a_trained_model_have_nearly_the_exact_auc(metrics):
    labels, logits = data(0, cells=5000, separation=6.0)
    exact = Ranking(labels, logits).auc_and_average_precision()[0]
    assert value(metrics["auc"], labels, logits * 3) == pytest.approx(exact, abs=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_saved_and_read_again_it_gives_the_same(name, metrics):
    metric = metrics[name]
    description = keras.saving.serialize_keras_object(metric)
    assert keras.saving.get_registered_object(description["registered_name"]) is type(metric)
    again = keras.saving.deserialize_keras_object(description, safe_mode=True)
    labels, logits = data(9)
    assert (again.name, type(again)) == (name, type(metric))
    assert value(again, labels, logits) == value(metric, labels, logits)


@pytest.mark.parametrize("name", NAMES)
def test_reset_forgets_and_graphs_agree(name, metrics):
    labels, logits = data(3)
    metric = metrics[name]
    expected = value(metric, labels, logits)

    @tf.function
    def update():
        metric.update_state(tf.constant(labels[:, None], tf.float32), tf.constant(logits[:, None]))

    metric.reset_state()
    update()
    assert float(metric.result()) == pytest.approx(expected, rel=1e-6)
    metric.reset_state()
    assert value(metric, *data(4)) == value(build("metric", name, {}), *data(4))


def test_directions():
    assert {name: build("metric", name, {}).direction for name in COUNTS} == dict.fromkeys(COUNTS)
    assert all(build("metric", name, {}).direction == "max" for name in NAMES if name not in COUNTS)


@pytest.mark.parametrize("name", ["custom_accuracy_class", "custom_accuracy_factory"])
def test_the_factor_of_the_examples(name):
    labels, logits = data(2)
    plain, percent = (build("metric", name, {"factor": factor}) for factor in (1.0, 100.0))
    assert value(percent, labels, logits) == pytest.approx(100 * value(plain, labels, logits))


def test_a_run_shows_them_all_and_one_of_ones_own_chooses_the_epoch(run_task, tiny_cellnet, tmp_path):
    own = ["trainer.monitor=val_custom_accuracy_class", "trainer.epochs=2", "trainer=loop", "trainer.eager=true"]
    folder = run_task([f"metric=[{','.join(NAMES)}]", *tiny_cellnet, *own], tmp_path / "run")
    rows = list(csv.DictReader((folder / "history.csv").open()))
    assert set(NAMES) <= set(rows[0])
    assert float(rows[0]["val_custom_accuracy_class"]) == pytest.approx(float(rows[0]["val_accuracy"]), abs=1e-6)
    assert sum(float(rows[0][name]) for name in COUNTS) > 0
    best = max(float(row["val_custom_accuracy_class"]) for row in rows)
    assert json.loads((folder / "status.json").read_text())["objective"] == pytest.approx(best)


def test_a_count_cannot_choose_the_epoch(run_task, tiny_cellnet, tmp_path):
    with pytest.raises(ConfigError, match="val_tp"):
        run_task(["metric=[tp]", *tiny_cellnet, "trainer.monitor=val_tp"], tmp_path / "run")


def test_a_run_without_any_metric(run_task, tiny_cellnet, tmp_path):
    folder = run_task(["metric=[]", "callback=[]", *tiny_cellnet], tmp_path / "run")
    assert (folder / "history.csv").read_text().startswith("epoch,loss,val_loss")
