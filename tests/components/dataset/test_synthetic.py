"""Synthetic cells: the same for the same seed, named like the real ones, and telling their class by the parasite alone."""

import hashlib
import pickle
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label as connected
from sklearn.metrics import roc_auc_score

from malaria_exp.components.dataset.drawing.look import SHIFT
from malaria_exp.components.dataset.synthetic import synthetic
from malaria_exp.config.registry import build
from malaria_exp.data.cell_table import CellTable, parasites_of
from malaria_exp.data.split_manifest import TABLE_COLUMNS
from malaria_exp.utils.errors import ConfigError

OFFICIAL = re.compile(
    r"^(?P<slide>C(?P<case>\d+)(?P<l>(?:[AB](?=P))?)(?:P(?P<patient>\d+))?N?(?:Re)?_?"
    r"(?:ThinF|thinF_original|thinF|thin_original|thinOriginalOlympusCX21|thin_Original_Motic))"
    r"_IMG_(?P<date>\d{8})_(?P<time>\d{6})a?_cell_(?P<cell>\d+)\.png$"
)
LAST_REAL_PATIENT = 224


@pytest.fixture(scope="module")
def table() -> CellTable:
    return synthetic()


@pytest.fixture(scope="module")
def pictures(table: CellTable) -> list[np.ndarray]:
    return [table.source.read(index) for index in range(len(table))]


@pytest.fixture(scope="module")
def features(pictures: list[np.ndarray]) -> dict[str, np.ndarray]:
    """What a careless model could use instead of parasites, one number a cell."""
    rows = []
    for picture in pictures:
        sparse = picture[1::3, 1::3]  # masks consist of 3 px blocks
        body = sparse[sparse.any(axis=-1)].astype(float)
        rows.append((*picture.shape[:2], len(body), *body.mean(axis=0), *np.median(body, axis=0)))
    names = ("height", "width", "area", "mean red", "mean green", "mean blue", "median red", "median green", "median blue")
    return dict(zip(names, np.array(rows).T, strict=True))


def small(**changes: object) -> CellTable:
    return synthetic(**{"infected_patients": 4, "healthy_patients": 2, "cells_per_patient": 12, **changes})


def digest(table: CellTable, index: int) -> str:
    picture = table.source.read(index)
    return hashlib.sha256(repr(picture.shape).encode() + picture.tobytes()).hexdigest()


def digests(table: CellTable) -> list[str]:
    return [digest(table, index) for index in range(len(table))]


def auc(score: np.ndarray, label: np.ndarray) -> float:
    value = roc_auc_score(label, score)
    return max(value, 1 - value)


def test_reading_in_any_order_from_threads_and_from_a_pickle_gives_the_same_bytes():
    expected = digests(small())
    other = small()
    backwards = [digest(other, index) for index in reversed(range(len(other)))][::-1]
    with ThreadPoolExecutor(4) as pool:
        threaded = list(pool.map(lambda index: digest(other, index), list(range(len(other))) * 2))
    assert backwards == expected
    assert threaded == expected * 2
    copy = pickle.loads(pickle.dumps(other.source))
    assert all(np.array_equal(copy.read(index), other.source.read(index)) for index in range(20))


def test_another_seed_draws_other_patients_and_other_cells():
    first, second = small(seed=0), small(seed=1)
    assert not set(digests(first)) & set(digests(second)) and not set(first.content) & set(second.content)
    assert first.data_hash != second.data_hash
    assert small(seed=2**63).data_hash != small(seed=2**63 + 1).data_hash


@pytest.mark.parametrize("more", [{"infected_patients": 6}, {"healthy_patients": 5}, {"infected_patients": 7, "healthy_patients": 3}])
def test_more_patients_leave_the_others_as_they_are(more):
    few, many = small(), small(**more)
    at = {cell_id: row for row, cell_id in enumerate(many.cell_id)}
    rows = [at[cell_id] for cell_id in few.cell_id]
    for column in TABLE_COLUMNS:
        assert np.array_equal(getattr(few, column), getattr(many, column)[rows])
    assert len(many) > len(few)
    assert all(digest(few, here) == digest(many, there) for here, there in list(enumerate(rows))[::5])


def test_content_is_equal_exactly_when_the_pixels_are(table, pictures):
    assert len(set(table.content)) == len(table)
    assert len({picture.tobytes() for picture in pictures}) == len(table)
    assert all(re.fullmatch(r"[0-9a-f]{64}", content) for content in table.content)
    changes = {
        "cell_size": 60,
        "contrast": 0.5,
        "lookalike_fraction": 0.9,
        "late_fraction": 0.5,
        "odd_shape_fraction": 0.5,
        "softness": 2,
        "noise": 2,
    }
    plain = set(small().content)
    for change in ({key: value} for key, value in changes.items()):
        assert not set(small(**change).content) & plain
    assert set(small(contrast=1).content) == set(small(contrast=1.0).content)


def test_names_follow_the_official_grammar(table):
    for cell_id, patient, slide, field in zip(table.cell_id, table.patient, table.slide, table.field, strict=True):
        parts = OFFICIAL.match(f"{cell_id}.png")
        assert parts, cell_id
        assert patient == f"P{parts['patient']}"
        assert int(parts["patient"]) > LAST_REAL_PATIENT
        assert slide == parts["slide"]
        assert field == cell_id.rpartition("_cell_")[0]
        assert 2015_06 <= int(parts["date"][:6]) <= 2015_12


def test_patients_have_fields_and_some_have_two_slides_but_no_slide_has_two_patients(table):
    slides_of = {patient: set(table.slide[table.patient == patient]) for patient in np.unique(table.patient)}
    assert {len(slides) for slides in slides_of.values()} == {1, 2}
    assert sum(map(len, slides_of.values())) == len(np.unique(table.slide))
    cells_a_field = np.unique(table.field, return_counts=True)[1]
    assert 8 < cells_a_field.mean() < 25
    mixed = [len(set(table.label[table.field == field])) == 2 for field in np.unique(table.field[table.infected])]
    assert np.mean(mixed) > 0.5


def test_only_infected_patients_have_parasitized_cells_and_they_have_both_classes():
    for seed in range(5):
        table = synthetic(seed=seed, infected_patients=30, healthy_patients=10, cells_per_patient=4, parasitized_fraction=0.9)
        fractions = {patient: table.label[table.patient == patient].mean() for patient in np.unique(table.patient)}
        assert sum(fraction == 0 for fraction in fractions.values()) == 10
        assert sum(0 < fraction < 1 for fraction in fractions.values()) == 30
    assert set(synthetic(infected_patients=1, healthy_patients=0, cells_per_patient=4).label) == {0, 1}, "the smallest cohort"


@pytest.mark.parametrize("fraction", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("cells", [30, 100])
def test_counts_and_classes_are_as_configured(fraction, cells):
    table = synthetic(seed=cells, infected_patients=60, healthy_patients=30, cells_per_patient=cells, parasitized_fraction=fraction)
    summary = table.summary()
    assert summary["patients"] == 90 and summary["infected_patients"] == 60
    assert len(table) == pytest.approx(90 * cells, rel=0.15)
    infected = np.unique(table.patient[table.infected])
    assert np.mean([table.label[table.patient == patient].mean() for patient in infected]) == pytest.approx(fraction, abs=0.05)
    counts = np.unique(table.patient, return_counts=True)[1]
    assert counts.min() >= cells // 2
    assert 2 * cells < counts.max() <= 5.2 * cells


def test_cells_are_one_piece_on_black_and_cut_out_tightly(pictures):
    for picture in pictures[::5]:
        assert picture.dtype == np.uint8 and picture.shape[2:] == (3,)
        inside = picture.any(axis=-1)
        assert connected(inside)[1] == 1 and inside.mean() > 0.4 and not inside[[0, 0, -1, -1], [0, -1, 0, -1]].all()
        assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()
        assert picture[inside].min() > 0


@pytest.mark.parametrize("size", [24, 240])
def test_cell_size_sets_the_pictures_size(size):
    table = small(cell_size=size)
    sides = np.array([table.source.read(index).shape[:2] for index in range(len(table))])
    assert np.median(sides) == pytest.approx(size, rel=0.05, abs=3)  # outlines lie on a grid of 3 px
    assert len(np.unique(sides)) > 5


def test_the_default_sizes_are_those_of_the_real_set(features):
    for name in ("height", "width"):
        assert np.median(features[name]) == pytest.approx(130, abs=4)
        assert np.percentile(features[name], [1, 99]) == pytest.approx([90, 190], abs=15)


def test_size_tells_nothing_about_the_class(table, features):
    for name in ("height", "width", "area"):
        assert auc(features[name], table.label) < 0.55, name
    numbers = np.array([int(cell_id.rpartition("_")[2]) for cell_id in table.cell_id])
    assert auc(numbers, table.label) < 0.55


def test_bodies_and_lookalikes_do_not_depend_on_the_class():
    table = small(contrast=0.0, lookalike_fraction=0.5, odd_shape_fraction=0.5)
    swapped = pickle.loads(pickle.dumps(table.source))
    swapped.parasitized[:] = ~swapped.parasitized
    assert all(np.array_equal(swapped.read(index), table.source.read(index)) for index in range(len(table)))


def masks_of(table: CellTable) -> list[np.ndarray]:
    return [table.source.read(row).any(axis=-1) for row in range(len(table))]


@pytest.mark.parametrize("key", ["late_fraction", "lookalike_fraction", "contrast", "softness", "noise", "stain_shift"])
def test_outlines_depend_on_the_patient_and_the_cell_alone(key):
    assert all(map(np.array_equal, masks_of(small()), masks_of(small(**{key: 0.7}))))


def test_a_parameter_changes_only_what_it_names():
    """Parasites are found as what differs from the same cells with parasites hidden."""

    def parasites(**changes: float) -> list[np.ndarray]:
        seen, hidden = small(noise=0.0, **changes), small(noise=0.0, contrast=0.0, **changes)
        return [seen.source.read(row).astype(int) - hidden.source.read(row) for row in np.flatnonzero(seen.label)]

    bare, littered = parasites(lookalike_fraction=0.0), parasites(lookalike_fraction=1.0)
    # A parasite painted over a look-alike changes other colors; where it lies stays.
    overlap = [np.mean(one.any(axis=-1) == other.any(axis=-1)) for one, other in zip(bare, littered, strict=True)]
    assert min(overlap) > 0.98
    plain, late = small(contrast=0.0), small(contrast=0.0, late_fraction=1.0)
    assert digests(plain) == digests(late)


def test_parasites_are_where_a_cell_differs_from_itself_without_them_also_in_some_rows_of_a_table():
    table, hidden = small(noise=0.0), small(noise=0.0, contrast=0.0)
    rows = np.flatnonzero(table.label)[:12]
    some = table.select(rows)
    masks = [parasites_of(some.source, place) for place in range(len(rows))]
    for row, mask in zip(rows, masks, strict=True):
        seen, without = table.source.read(row).astype(int), hidden.source.read(row)
        assert mask.shape == seen.shape[:2] and not mask[~seen.any(axis=-1)].any()
        assert np.abs(seen - without)[mask].max(axis=-1).min() > 12
    assert 0.002 < np.mean([mask.mean() for mask in masks]) < 0.2
    assert not any(parasites_of(table.source, row).any() for row in np.flatnonzero(table.label == 0)[:5])


@pytest.mark.parametrize(("who", "moved"), [("healthy", {"P5002", "P5004"}), ("every_second", {"P5003", "P5004", "P5007"})])
def test_a_stain_shift_moves_the_colors_of_one_group_and_nothing_else(who, moved):
    plain, shifted = small(), small(stain_shift=1.0, shifted_patients=who)
    for column in ("cell_id", "label", "patient", "slide", "field"):
        assert np.array_equal(getattr(plain, column), getattr(shifted, column))
    step = {}
    for row in range(len(plain)):
        before, after = plain.source.read(row), shifted.source.read(row)
        inside = before.any(axis=-1)
        assert np.array_equal(inside, after.any(axis=-1))
        step.setdefault(plain.patient[row], []).append((after[inside].astype(int) - before[inside]).mean(axis=0))
        assert (plain.content[row] == shifted.content[row]) == np.array_equal(before, after)
    for patient, steps in step.items():
        # A little less than the shift itself, as colors end at 255 and specks of dust keep theirs.
        assert np.mean(steps, axis=0) == pytest.approx(SHIFT if patient in moved else np.zeros(3), abs=1.5)
    assert moved < set(step)


def test_label_noise_flips_labels_at_its_rate_keeps_the_truth_and_leaves_the_pixels():
    options = {"infected_patients": 30, "healthy_patients": 10, "cells_per_patient": 60}
    clean, noisy = synthetic(**options), synthetic(label_noise=0.1, **options)
    assert clean.truth is None and not clean.notes
    assert noisy.truth.dtype == np.int8
    assert np.array_equal(noisy.truth, clean.label)
    assert np.array_equal(noisy.source.parasitized, clean.source.parasitized)
    assert np.array_equal(noisy.content, clean.content)
    wrong = noisy.label != noisy.truth
    infected = clean.infected
    assert not wrong[~infected].any()
    for label in (0, 1):
        assert wrong[infected & (clean.label == label)].mean() == pytest.approx(0.1, abs=0.03)
    assert f"{wrong.sum():,} of {len(noisy):,} labels are wrong on purpose" in noisy.notes[0]


EXTREMES = {
    "late_fraction": st.floats(0, 1),
    "odd_shape_fraction": st.sampled_from([0.0, 1.0]),
    "lookalike_fraction": st.sampled_from([0.0, 1.0]),
    "cell_size": st.integers(24, 240),
    "contrast": st.sampled_from([0.0, 1.0, 1e6]),
    "softness": st.sampled_from([0.0, 1.0, 50.0]),
    "noise": st.sampled_from([0.0, 1.0, 1000.0]),
    "stain_shift": st.sampled_from([0.0, 1.0, 1000.0]),
    "shifted_patients": st.sampled_from(["healthy", "every_second"]),
    "label_noise": st.sampled_from([0.0, 0.5, 1.0]),
    "seed": st.integers(0, 2**63),
}


@settings(max_examples=25, deadline=None)
@given(options=st.fixed_dictionaries(EXTREMES))
def test_no_values_of_the_parameters_spoil_a_picture(options):
    table = build("dataset", "synthetic", {"infected_patients": 2, "healthy_patients": 2, "cells_per_patient": 4, **options})
    for row in range(len(table)):
        picture = table.source.read(row)
        assert picture.dtype == np.uint8 and max(picture.shape[:2]) <= 512
        inside = picture.any(axis=-1)
        assert picture[inside].min() > 0
        assert connected(inside)[1] == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("infected_patients", 0),
        ("infected_patients", 10**9),
        ("cells_per_patient", 3),
        ("cell_size", 1000),
        ("contrast", 1e7),
        ("shifted_patients", "sick"),
        ("cells_per_pateint", 10),
    ],
)
def test_wrong_parameters_are_named_with_their_path(key, value):
    with pytest.raises(ConfigError, match=rf"dataset\.{key}: .*received .*{value}"):
        build("dataset", "synthetic", {key: value})
