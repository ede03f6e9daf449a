"""Each rule chooses what it says, the same in any order of the cells, and states how likely its promise is kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from malaria_exp.config.registry import build, options
from malaria_exp.evaluation.metrics import count
from malaria_exp.evaluation.thresholds import NOT_CHOSEN, choose_thresholds

targets = st.one_of(st.floats(0.001, 0.999), st.sampled_from([0.1, 0.3, 0.7, 0.9, 0.95]))
tied = st.integers(0, 8).map(lambda step: step / 8)
rows = st.lists(st.tuples(st.integers(0, 1), st.one_of(tied, st.floats(0, 1)), st.sampled_from("abc")), min_size=2, max_size=60)
# Rules whose thresholds are chosen, on the validation patients as they are.
CHOSEN = {name: {"assurance": None} if "target" in name else {} for name in options("threshold") if name != "fixed"}


def choose(name, params, labels, scores, patients, *, resamples=0, seed=0):
    return choose_thresholds({name: build("threshold", name, params)}, labels, scores, patients, resamples=resamples, seed=seed)[name]


def columns(cells):
    labels, scores, patients = (np.array(column) for column in zip(*cells, strict=True))
    labels[:2] = 0, 1
    return labels, scores, patients


def loss(name, counts):
    """What a rule makes small: first by how much the target is missed, then the loss of the other rate."""
    if "target" in name:
        rate, other = (counts.sensitivity, counts.specificity)[:: 1 if name.endswith("sensitivity") else -1]
        return (max(0.9 - rate, 0), -other)
    return -counts.sensitivity - counts.specificity if name == "youden" else 5 * (1 - counts.sensitivity) + 1 - counts.specificity


@pytest.mark.parametrize("name", CHOSEN)
@given(cells=rows)
@settings(deadline=None, max_examples=50)
def test_no_other_threshold_is_better_by_its_rule(name, cells):
    labels, scores, patients = columns(cells)
    params = CHOSEN[name] | ({"target": 0.9} if "target" in name else {})
    threshold = choose(name, params, labels, scores, patients)
    assert 0 <= threshold.value <= 1 and threshold.chance is None
    best = min(loss(name, count(labels, scores, value)) for value in (*scores, 1.0))
    assert loss(name, count(labels, scores, threshold.value)) == pytest.approx(best)


@given(rows, targets, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_the_cells_does_not_matter(cells, target, random):
    labels, scores, patients = columns(cells)
    order = np.array(random.sample(range(len(labels)), len(labels)))
    for name in ("target_sensitivity", "youden"):
        params = {"target": target} if "target" in name else {}
        first = choose(name, params, labels, scores, patients, resamples=20)
        assert choose(name, params, labels[order], scores[order], patients[order], resamples=20) == first


def cohort(patients, seed):
    """Scores of patients that differ from one another, 20 cells of each class."""
    rng = np.random.default_rng(seed)
    own = rng.normal([1.9, -2.1], [0.6, 0.5], size=(patients, 2)).repeat(20, axis=0)
    scores = norm.cdf(own + rng.normal(size=own.shape)).T.ravel()
    return np.repeat([1, 0], 20 * patients), scores, np.tile(np.repeat(np.arange(patients), 20), 2).astype(str)


@pytest.mark.long
@pytest.mark.parametrize(("name", "rate"), [("target_sensitivity", "sensitivity"), ("target_specificity", "specificity")])
def test_an_assurance_is_kept_on_new_patients_and_the_chance_says_how_often(name, rate):
    new = cohort(3000, 99)
    kept, stated = {}, {}
    for assurance in (None, 0.95):
        found = [choose(name, {"target": 0.93, "assurance": assurance}, *cohort(20, seed), resamples=60) for seed in range(40)]
        kept[assurance] = np.mean([getattr(count(*new[:2], one.value), rate) >= 0.93 for one in found])
        stated[assurance] = np.mean([one.chance for one in found])
    assert kept[None] < 0.65 and kept[0.95] > 0.8
    assert stated[None] + 0.1 < stated[0.95]


def test_without_a_cell_of_the_class_it_is_one_half_and_says_so():
    scores, patients = np.array([0.1, 0.2, 0.9]), np.array(["a", "b", "c"])
    for name, params in CHOSEN.items():
        missing = [choose(name, params, np.full(3, label), scores, patients, resamples=20) for label in (0, 1)]
        assert any(one.value == 0.5 and one.rule.startswith(NOT_CHOSEN) for one in missing), name


def test_patients_who_are_not_known_are_not_resampled():
    labels, scores, _ = cohort(5, 0)
    found = choose("target_sensitivity", {"assurance": 0.9}, labels, scores, np.full(len(labels), "unknown"), resamples=50)
    assert (
        found.chance is None and found.value == choose("target_sensitivity", {"assurance": None}, labels, scores, labels.astype(str)).value
    )
