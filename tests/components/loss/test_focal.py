import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malaria_exp.config.registry import build


def by_hand(label, logit, gamma, alpha):
    """Equation 5 of the paper for a hard label, in float64."""
    p = 1 / (1 + np.exp(-np.float64(logit)))
    p_t, alpha_t = (p, alpha) if label else (1 - p, 1 - alpha)
    return -alpha_t * (1 - p_t) ** gamma * np.log(p_t)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1), st.floats(-20, 20), st.floats(0, 6), st.floats(0.01, 0.99))
def test_it_is_the_papers_equation(label, logit, gamma, alpha):
    loss = build("loss", "focal", {"gamma": gamma, "alpha": alpha})
    value = float(loss(np.array([[label]]), np.array([[logit]])))
    assert value == pytest.approx(by_hand(label, logit, gamma, alpha), rel=1e-3, abs=1e-9)


def test_without_gamma_it_is_cross_entropy_and_without_alpha_both_classes_weigh_one():
    rng = np.random.default_rng(0)
    labels, logits = rng.random((50, 1)), rng.normal(0, 3, (50, 1))
    plain = build("loss", "focal", {"gamma": 0, "label_smoothing": 0.2})
    assert float(plain(labels, logits)) == pytest.approx(float(build("loss", "bce", {"label_smoothing": 0.2})(labels, logits)), rel=1e-5)
    labels, logits = np.array([[1.0], [0.0]]), np.array([[0.3], [0.7]])
    with_half = build("loss", "focal", {"alpha": 0.5}).call(labels, logits)
    np.testing.assert_allclose(build("loss", "focal", {}).call(labels, logits), 2 * np.asarray(with_half), rtol=1e-6)


def test_an_easy_cell_counts_less_than_a_hard_one_by_much_more_than_in_cross_entropy():
    labels, logits = np.array([[1.0], [1.0]], np.float32), np.array([[3.0], [-1.0]], np.float32)
    ratios = {}
    for gamma in (0, 2):
        easy, hard = np.asarray(build("loss", "focal", {"gamma": gamma}).call(labels, logits))
        ratios[gamma] = hard / easy
    # (1 - p)^2 of both: sigmoid(1) / sigmoid(-3), squared.
    assert ratios[2] / ratios[0] == pytest.approx((0.731059 / 0.0474259) ** 2, rel=1e-3)
