import numpy as np
import pytest

from malaria_exp.config.registry import build


def by_hand(labels, logits, smoothing):
    labels = labels * (1 - smoothing) + smoothing / 2
    return np.mean(np.log1p(np.exp(-np.abs(logits))) + np.maximum(logits, 0) - logits * labels)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_it_is_cross_entropy_of_smoothed_labels_from_logits(smoothing):
    rng = np.random.default_rng(0)
    labels, logits = rng.integers(0, 2, (50, 1)).astype(np.float32), rng.normal(0, 3, (50, 1)).astype(np.float32)
    loss = build("loss", "bce", {"label_smoothing": smoothing})
    assert float(loss(labels, logits)) == pytest.approx(by_hand(labels, logits, smoothing), rel=1e-5)


def test_huge_logits_stay_finite():
    loss = build("loss", "bce", {"label_smoothing": 0.0})
    assert float(loss(np.array([[0.0], [1.0]]), np.array([[500.0], [500.0]]))) == pytest.approx(250.0)


def test_sample_weights_count():
    labels, logits = np.array([[1.0], [0.0]]), np.array([[0.3], [2.0]])
    loss = build("loss", "bce", {})
    only_first = float(loss(labels, logits, sample_weight=np.array([2.0, 0.0])))
    assert only_first == pytest.approx(float(loss(labels[:1], logits[:1])))
