"""The bootstrap by weights is the bootstrap by copying patients, and its intervals hold what they promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, t

from malaria_exp.evaluation.intervals import bootstrap
from malaria_exp.evaluation.intervals.bootstrap import PatientBootstrap, multiplicities
from malaria_exp.evaluation.intervals.interval_interface import MEANS_OF_PATIENTS
from malaria_exp.evaluation.metrics import METRICS, compute
from malaria_exp.utils.errors import ConfigError
from tests.clustered_cells import clustered_cells

METHOD = PatientBootstrap()


@given(st.integers(0, 10_000), st.sampled_from([3, 50, 2**19]))
@settings(max_examples=15, deadline=None)
def test_weights_equal_explicit_resampling(seed, chunk):
    labels, scores, patients = clustered_cells(np.random.default_rng(seed), patients=6, largest=8)
    scores = np.round(scores, 1)
    names = np.unique(patients)
    explicit = []
    for row in multiplicities(len(names), 40, seed):
        cells = np.concatenate([np.flatnonzero(patients == name) for name, times in zip(names, row, strict=True) for _ in range(times)])
        explicit.append(compute(labels[cells], scores[cells], 0.5))
    before, bootstrap.CHUNK = bootstrap.CHUNK, chunk
    try:
        got = METHOD(labels, scores, patients, {"half": 0.5}, resamples=40, confidence=0.9, seed=seed)
    finally:
        bootstrap.CHUNK = before
    plain = compute(labels, scores, 0.5)
    # Hesterberg 2015: the tail of 5 % for six patients.
    tail = norm.cdf(t.ppf(0.05, 5) * np.sqrt(6 / 5))
    for name, cell in (got["at"]["half"] | got["ranking"]).items():
        if name in MEANS_OF_PATIENTS:
            continue
        values = np.array([one[name] for one in explicit])
        defined = values[np.isfinite(values)]
        assert cell["value"] == pytest.approx(plain[name])
        if len(defined) >= 20 and np.ptp(defined) > 1e-9:
            assert (cell["low"], cell["high"]) == pytest.approx(tuple(np.quantile(defined, [tail, 1 - tail])), abs=1e-12)


def test_same_seed_same_numbers_in_any_order_of_rows():
    labels, scores, patients = clustered_cells(np.random.default_rng(0))
    order = np.random.default_rng(1).permutation(len(labels))
    first = METHOD(labels, scores, patients, {"half": 0.5}, resamples=50, seed=7)
    again = METHOD(labels, scores, patients, {"half": 0.5}, resamples=50, seed=7)
    shuffled = METHOD(labels[order], scores[order], patients[order], {"half": 0.5}, resamples=50, seed=7)
    other = METHOD(labels, scores, patients, {"half": 0.5}, resamples=50, seed=8)
    assert first == again
    for name, cell in first["ranking"].items():
        assert cell == pytest.approx(shuffled["ranking"][name])
    assert first["ranking"]["auc"]["low"] != other["ranking"]["auc"]["low"]


def test_every_metric_lies_within_its_interval_and_more_confidence_is_wider():
    labels, scores, patients = clustered_cells(np.random.default_rng(3))
    wide, narrow = (
        METHOD(labels, scores, patients, {"half": 0.5}, resamples=400, confidence=confidence, seed=0) for confidence in (0.99, 0.5)
    )
    cells, inner = wide["at"]["half"] | wide["ranking"], narrow["at"]["half"] | narrow["ranking"]
    assert set(cells) == {*METRICS, *MEANS_OF_PATIENTS}
    for name, cell in cells.items():
        assert cell["low"] <= cell["value"] <= cell["high"]
        assert cell["low"] <= inner[name]["low"] <= inner[name]["high"] <= cell["high"]


def test_multiplicities_draw_as_many_patients_as_there_are():
    drawn = multiplicities(30, 2000, 0)
    assert (drawn.sum(axis=1) == 30).all()
    assert drawn.mean(axis=0) == pytest.approx(np.ones(30), abs=0.12)


def test_the_mean_over_patients_is_that_of_drawn_patients():
    labels, scores, patients = clustered_cells(np.random.default_rng(5), patients=8)
    cell = METHOD(labels, scores, patients, {"half": 0.5}, resamples=200, seed=1)["at"]["half"]["mean_patient_specificity"]
    own = np.array(
        [
            ((scores < 0.5) & (labels == 0))[patients == name].sum() / ((labels == 0) & (patients == name)).sum()
            for name in np.unique(patients)
        ]
    )
    means = multiplicities(8, 200, 1) @ own / 8
    assert cell["value"] == pytest.approx(own.mean())
    assert cell["patients"] == 8
    assert means.min() <= cell["low"] < cell["high"] <= means.max()


def test_too_many_undefined_or_equal_resamples_leave_no_interval():
    # One of two patients is healthy, the other without errors.
    labels, scores, patients = np.array([1, 0, 0, 0]), np.array([0.9, 0.2, 0.1, 0.6]), np.array(["a", "a", "b", "b"])
    got = METHOD(labels, scores, patients, {"half": 0.5}, resamples=400, seed=0)["at"]["half"]
    assert (got["sensitivity"]["value"], got["sensitivity"]["low"]) == (1.0, None)
    assert got["specificity"]["low"] < got["specificity"]["high"]
    nothing = METHOD(np.zeros(4, int), np.array([0.2, 0.2, 0.1, 0.6]), patients, {"half": 0.5}, resamples=20, seed=0)
    assert nothing["ranking"]["auc"]["value"] is nothing["ranking"]["auc"]["low"] is None
    assert nothing["at"]["half"]["specificity"]["low"] is not None
    assert "no resamples" in METHOD(labels, scores, patients, {"half": 0.5}, resamples=0)["reason"]


@pytest.mark.parametrize("options", [{"resamples": -1}, {"confidence": 1.0}, {"confidence": 0.0}])
def test_bad_options_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        METHOD(np.array([0, 1]), np.array([0.1, 0.9]), np.array(["a", "b"]), {}, seed=0, **options)
