"""The bootstrap by weights is the bootstrap by copying patients, and its intervals hold what they promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malaria_exp.data.cell_table import UNKNOWN
from malaria_exp.evaluation import intervals
from malaria_exp.evaluation.intervals import multiplicities, patient_bootstrap, roc_band
from malaria_exp.evaluation.metrics import METRICS, compute
from malaria_exp.utils.errors import ConfigError


def clustered(rng, patients=12, cells=30, spread=1.0):
    """Cells whose scores share a shift within their patient; every fourth patient is healthy."""
    patient = np.repeat(np.arange(patients), cells)
    labels = (rng.random(len(patient)) < 0.5) & (patient % 4 != 3)
    shift = rng.normal(0, spread, patients)[patient]
    logits = np.where(labels, 1.5, -1.5) + shift + rng.normal(0, 1, len(patient))
    return labels.astype(int), 1 / (1 + np.exp(-logits)), np.array([f"P{i}" for i in patient])


@given(st.integers(0, 10_000), st.sampled_from([3, 50, 2**19]))
@settings(max_examples=15, deadline=None)
def test_weights_equal_explicit_resampling(seed, chunk):
    labels, scores, patients = clustered(np.random.default_rng(seed), patients=6, cells=8)
    scores = np.round(scores, 1)
    names = np.unique(patients)
    explicit = []
    for row in multiplicities(len(names), 40, seed):
        cells = np.concatenate([np.flatnonzero(patients == name) for name, times in zip(names, row, strict=True) for _ in range(times)])
        explicit.append(compute(labels[cells], scores[cells], 0.5))
    before, intervals.CHUNK = intervals.CHUNK, chunk
    try:
        got = patient_bootstrap(labels, scores, patients, {"half": 0.5}, resamples=40, confidence=0.9, seed=seed)
    finally:
        intervals.CHUNK = before
    plain = compute(labels, scores, 0.5)
    for name, cell in (got["at"]["half"] | got["ranking"]).items():
        values = np.array([one[name] for one in explicit])
        defined = values[np.isfinite(values)]
        assert cell["undefined"] == len(values) - len(defined) and cell["value"] == pytest.approx(plain[name])
        if len(defined) >= 20:
            assert (cell["low"], cell["high"]) == pytest.approx(tuple(np.quantile(defined, [0.05, 0.95])), abs=1e-12)


def test_same_seed_same_numbers_in_any_order_of_rows():
    labels, scores, patients = clustered(np.random.default_rng(0))
    order = np.random.default_rng(1).permutation(len(labels))
    first = patient_bootstrap(labels, scores, patients, {"half": 0.5}, resamples=50, seed=7)
    again = patient_bootstrap(labels, scores, patients, {"half": 0.5}, resamples=50, seed=7)
    shuffled = patient_bootstrap(labels[order], scores[order], patients[order], {"half": 0.5}, resamples=50, seed=7)
    other = patient_bootstrap(labels, scores, patients, {"half": 0.5}, resamples=50, seed=8)
    assert first == again
    for name, cell in first["ranking"].items():
        assert cell == pytest.approx(shuffled["ranking"][name])
    assert first["ranking"]["auc"]["low"] != other["ranking"]["auc"]["low"]


def test_every_metric_lies_within_its_interval_and_more_confidence_is_wider():
    labels, scores, patients = clustered(np.random.default_rng(3))
    wide, narrow = (
        patient_bootstrap(labels, scores, patients, {"half": 0.5}, resamples=400, confidence=confidence, seed=0)
        for confidence in (0.99, 0.5)
    )
    cells, inner = wide["at"]["half"] | wide["ranking"], narrow["at"]["half"] | narrow["ranking"]
    assert set(cells) == set(METRICS)
    for name, cell in cells.items():
        assert cell["low"] <= cell["value"] <= cell["high"]
        assert cell["low"] <= inner[name]["low"] <= inner[name]["high"] <= cell["high"]


def test_multiplicities_draw_as_many_patients_as_there_are():
    drawn = multiplicities(30, 2000, 0)
    assert (drawn.sum(axis=1) == 30).all()
    assert drawn.mean(axis=0) == pytest.approx(np.ones(30), abs=0.12)


@pytest.mark.parametrize(
    ("patients", "resamples", "reason"),
    [
        (["P1"] * 4, 10, "one patient only"),
        (["P1", "P2"] * 2, 0, "no resamples"),
        ([UNKNOWN] * 4, 10, "not known"),
        # Whose the other cells are, nobody knows: perhaps P1's.
        (["P1", "P2", "P3", UNKNOWN], 10, "not known"),
    ],
)
def test_no_interval_comes_with_a_reason(patients, resamples, reason):
    got = patient_bootstrap(
        np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.6, 0.7]), np.array(patients), {"half": 0.5}, resamples=resamples, seed=0
    )
    assert reason in got["reason"]
    for cell in (got["at"]["half"] | got["ranking"]).values():
        assert cell["value"] is not None and cell["low"] is cell["high"] is None


def test_undefined_resamples_are_counted_and_too_many_leave_no_interval():
    # One of two patients is healthy: a quarter of the resamples hold no parasitized cell.
    labels, scores, patients = np.array([1, 0, 0, 0]), np.array([0.9, 0.2, 0.1, 0.6]), np.array(["a", "a", "b", "b"])
    got = patient_bootstrap(labels, scores, patients, {"half": 0.5}, resamples=400, seed=0)["at"]["half"]["sensitivity"]
    assert 60 < got["undefined"] < 140
    assert got["low"] == got["high"] == 1.0
    nothing = patient_bootstrap(np.zeros(4, int), scores, patients, {"half": 0.5}, resamples=20, seed=0)
    assert nothing["ranking"]["auc"] == {"value": None, "low": None, "high": None, "undefined": 20}
    assert nothing["at"]["half"]["specificity"]["low"] is not None


@pytest.mark.parametrize("options", [{"resamples": -1}, {"confidence": 1.0}, {"confidence": 0.0}])
def test_bad_options_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        patient_bootstrap(np.array([0, 1]), np.array([0.1, 0.9]), np.array(["a", "b"]), {}, seed=0, **options)


def test_roc_band_holds_the_curve_and_needs_two_patients():
    labels, scores, patients = clustered(np.random.default_rng(2))
    grid = np.linspace(0, 1, 21)
    low, high = roc_band(labels, scores, patients, grid)
    assert (low <= high).all()
    assert (np.diff(low) >= 0).all()
    assert (np.diff(high) >= 0).all()
    assert (low[-1], high[-1]) == (1, 1)
    assert roc_band(labels, scores, np.full(len(labels), "P"), grid) is None
    assert roc_band(np.zeros_like(labels), scores, patients, grid) is None
