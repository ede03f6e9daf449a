import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from malaria_exp.components.loss import weighted_bce
from malaria_exp.config.registry import build
from malaria_exp.utils.errors import ConfigError

NO_LABELS = np.array([], np.int8)


def training(positives, negatives):
    return np.repeat(np.array([1, 0], np.int8), [positives, negatives])


def test_parasitized_cells_count_as_often_as_asked_and_with_weight_one_as_others():
    labels, logits = np.array([[1.0], [0.0]]), np.array([[0.3], [0.7]])
    plain = np.asarray(build("loss", "bce", {"label_smoothing": 0.0}).call(labels, logits))
    weighted = build("loss", "weighted_bce", {"positive_weight": 3, "label_smoothing": 0.0}, NO_LABELS).call(labels, logits)
    np.testing.assert_allclose(weighted, plain * [3, 1], rtol=1e-6)
    rng = np.random.default_rng(0)
    labels, logits = rng.random((50, 1)), rng.normal(0, 3, (50, 1))
    one = build("loss", "weighted_bce", {"positive_weight": 1}, NO_LABELS)
    assert float(one(labels, logits)) == pytest.approx(float(build("loss", "bce", {})(labels, logits)), rel=1e-5)


@given(st.integers(1, 200), st.integers(1, 200))
def test_balanced_gives_both_classes_the_same_total(positives, negatives):
    labels = training(positives, negatives)
    loss = build("loss", "weighted_bce", {"positive_weight": "balanced", "label_smoothing": 0.0}, labels)
    losses = np.asarray(loss.call(labels[:, None].astype(np.float32), np.zeros((len(labels), 1), np.float32)))
    assert losses[labels == 1].sum() == pytest.approx(losses[labels == 0].sum(), rel=1e-4)


@pytest.mark.parametrize(("positives", "negatives"), [(5, 0), (0, 5), (0, 0)])
def test_balanced_needs_both_classes(positives, negatives):
    with pytest.raises(ConfigError) as caught:
        build("loss", "weighted_bce", {}, training(positives, negatives))
    assert f"holds {positives} parasitized and {negatives} uninfected" in str(caught.value)
    build("loss", "weighted_bce", {"positive_weight": 2}, training(positives, negatives))


@pytest.mark.parametrize(("value", "words"), [("balance", "Did you mean 'balanced'?"), (0, "a number > 0"), (True, "a number > 0")])
def test_any_other_weight_is_refused(value, words):
    with pytest.raises(ConfigError) as caught:
        build("loss", "weighted_bce", {"positive_weight": value}, training(1, 1))
    assert str(caught.value).startswith("loss.positive_weight: expected ") and words in str(caught.value)


def test_the_run_counts_its_training_cells_alone(run_task, tiny_cellnet, tmp_path, monkeypatch):
    seen = []
    counted = weighted_bce.balanced_weight
    monkeypatch.setattr(weighted_bce, "balanced_weight", lambda labels: seen.append(labels) or counted(labels))
    folder = run_task(["loss=weighted_bce", *tiny_cellnet], tmp_path / "run")
    with (folder / "split.csv").open() as file:
        train = [row["label"] for row in csv.DictReader(file) if row["subset"] == "train"]
    assert [np.bincount(labels).tolist() for labels in seen] == [[train.count("uninfected"), train.count("parasitized")]]
