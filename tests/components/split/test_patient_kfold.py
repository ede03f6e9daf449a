"""Each patient is tested exactly once over the folds, and validation never shares a patient with training or testing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malaria_exp.components.split.patient_kfold import patient_kfold
from malaria_exp.config.registry import build
from malaria_exp.data.split_manifest import SUBSETS, guard_against_leaks
from malaria_exp.utils.errors import ConfigError, DataError


def patients(manifest, subset):
    return set(manifest.patient[manifest.subset == subset].tolist())


cells_of = st.lists(
    st.one_of(st.tuples(st.integers(1, 20), st.integers(1, 20)), st.tuples(st.just(0), st.integers(1, 20))), min_size=14, max_size=26
).map(lambda cells: [(3, 3)] * 6 + cells)


@given(cells=cells_of, k=st.integers(2, 5), seed=st.integers(0, 1000), val=st.sampled_from([0.125, 0.25, 0.5]))
@settings(max_examples=20, deadline=None)
def test_invariants_of_any_cohort(cohort, shuffled, cells, k, seed, val):
    table = cohort(cells)
    everyone = set(table.patient.tolist())
    tested = []
    for fold in range(k):
        try:
            manifest = patient_kfold(table, k=k, fold=fold, val=val, seed=seed)
        except DataError as error:
            # A validation subset of a few patients may lack a class: then the split is refused, not handed over.
            assert "subset 'val' holds only" in str(error)
            return
        assert manifest.crossing_patients == {}
        guard_against_leaks(manifest, patients_may_cross=False, allow_leak=False)
        assert set(manifest.subset.tolist()) == set(SUBSETS)
        assert set().union(*(patients(manifest, subset) for subset in SUBSETS)) == everyone
        tested.append(patients(manifest, "test"))

        counts, summary = manifest.counts(), table.summary()
        for kind in ("infected_patients", "healthy_patients"):
            assert abs(counts["test"][kind] - summary[kind] / k) < 1
            assert abs(counts["val"][kind] - val * (summary[kind] - counts["test"][kind])) < 1
        assert patient_kfold(shuffled(table, seed), k=k, fold=fold, val=val, seed=seed).hash == manifest.hash
    assert set().union(*tested) == everyone
    assert sum(map(len, tested)) == len(everyone)


def test_the_folds_do_not_depend_on_which_one_is_tested_nor_on_the_rest(skewed):
    first = [patients(patient_kfold(skewed, fold=fold), "test") for fold in range(5)]
    # Outside of the fold, patients are divided with other random numbers, so other settings there move nobody into another fold.
    assert [patients(patient_kfold(skewed, fold=fold, val=0.3, largest=None), "test") for fold in range(5)] == first
    assert set().union(*first) == set(skewed.patient.tolist())
    assert sum(map(len, first)) == len(set(skewed.patient.tolist()))
    assert len({frozenset(patients(patient_kfold(skewed, fold=fold), "val")) for fold in range(5)}) == 5


def test_seeds_choose_other_folds_and_the_same_seed_the_same(skewed):
    hashes = [patient_kfold(skewed, seed=seed).hash for seed in range(3)]
    assert len(set(hashes)) == 3
    assert [patient_kfold(skewed, seed=seed).hash for seed in range(3)] == hashes
    assert len({frozenset(patients(patient_kfold(skewed, seed=seed), "test")) for seed in range(3)}) == 3


def test_folds_are_balanced_or_the_manifest_says_so(skewed, cohort):
    for fold in range(5):
        manifest = patient_kfold(skewed, fold=fold)
        rest = manifest.subset != "test"
        off = 0.0
        for kind in (skewed.label == 1, (skewed.label == 0) & skewed.infected, ~skewed.infected):
            off = max(
                off,
                abs(float((~rest)[kind].mean()) - 1 / 5),
                abs(float((manifest.subset == "val")[kind & rest].sum()) / (kind & rest).sum() - 0.125),
            )
        assert manifest.details["largest_share_deviation"] >= off - 1e-5
        if off > 0.03 + 1e-9:
            assert manifest.details["warnings"]
    lone = patient_kfold(cohort([(10, 10)] * 20 + [(0, 500)] + [(0, 5)] * 9))
    assert any("off their targets" in text for text in lone.details["warnings"])


def test_large_patients_are_tested_but_never_validate(cohort):
    table = cohort([(10, 10)] * 20 + [(80, 10)] * 2 + [(0, 10)] * 8)
    where = {name: set() for name in ("P020", "P021")}
    for seed in range(3):
        for fold in range(5):
            manifest = patient_kfold(table, fold=fold, seed=seed, val=0.3)
            for name, seen in where.items():
                seen |= set(manifest.subset[manifest.patient == name].tolist())
    assert where == {"P020": {"train", "test"}, "P021": {"train", "test"}}
    free = {
        subset
        for seed in range(3)
        for fold in range(5)
        for subset in patient_kfold(table, fold=fold, seed=seed, largest=None, val=0.3).subset[table.patient == "P020"].tolist()
    }
    assert free == set(SUBSETS)


@pytest.mark.parametrize("params", [{"k": 1}, {"fold": -1}, {"fold": 5}, {"fold": 100}, {"val": 0.0}, {"val": 1.0}])
def test_numbers_out_of_range_are_refused_by_name(params, cohort):
    ((key, value),) = params.items()
    message = rf"split\.fold: expected 0 to 4 \(split\.k = 5\), received {value}" if value in (5, 100) else rf"split\.{key}"
    with pytest.raises(ConfigError, match=message):
        build("split", "patient_kfold", params, cohort([(5, 5)] * 20))


def test_too_few_patients_are_refused(cohort):
    with pytest.raises(DataError, match="4 patients cannot be divided into 5 subsets"):
        patient_kfold(cohort([(5, 5)] * 4))
    with pytest.raises(DataError, match="1 patients cannot be divided into 2 subsets"):
        patient_kfold(cohort([(5, 5)] * 2), k=2)
    with pytest.raises(DataError, match="subset 'val' is empty"):
        patient_kfold(cohort([(5, 5)] * 5))
    with pytest.raises(DataError, match="holds only uninfected cells"):
        patient_kfold(cohort([(5, 5)] * 2 + [(0, 5)] * 20), k=2)


def test_patient_8s_two_slides_are_in_one_subset_in_every_fold_of_the_official_cells(official):
    tested = 0
    for fold in range(5):
        manifest = patient_kfold(official, fold=fold)
        olympus, motic = (
            set(manifest.subset[manifest.slide == f"C47P8{name}"].tolist()) for name in ("thinOriginalOlympusCX21", "thin_Original_Motic")
        )
        assert olympus == motic and len(olympus) == 1
        tested += olympus == {"test"}
        assert manifest.details["warnings"] == []
        counts = manifest.counts()["test"]
        assert (counts["infected_patients"], counts["healthy_patients"]) == (30, 10)
    assert tested == 1
