"""A manifest knows what crosses its subsets, its hash knows data and not order, and a file that is wrong is said where."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malaria_exp.data.cell_table import UNKNOWN, CellTable
from malaria_exp.data.fingerprints import fingerprint
from malaria_exp.data.split_manifest import COLUMNS, EXCLUDED, SUBSETS, Manifest, guard_against_leaks
from malaria_exp.utils.csv_files import read_csv
from malaria_exp.utils.errors import DataError, LeakError

# Two cells of either class for each of six patients, two patients a subset.
PATIENTS = np.repeat([f"P{i}" for i in range(6)], 4)
N = len(PATIENTS)
SUBSET = np.repeat(["train", "val", "test"], 8)
# numpy drops NUL at the end of text, csv readers join CR and LF, and files cannot hold lone surrogates.
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), max_size=10)


def table(**changed):
    base = {
        "name": "small",
        "cell_id": np.array([f"c{i:02d}" for i in range(N)]),
        "label": np.tile([0, 1], N // 2).astype(np.int8),
        "patient": PATIENTS,
        "slide": np.array([f"S{name}" for name in PATIENTS]),
        "field": np.array([f"F{i // 2}" for i in range(N)]),
        "content": np.array([f"{i:064x}" for i in range(N)]),
        "source": None,
    }
    return CellTable(**{**base, **changed})


def test_tables_are_shown_in_a_line():
    assert repr(table()) == "CellTable('small': 24 cells of 6 patients)"
    assert repr(make()) == "Manifest(patient_holdout: 24 cells, train 8, val 8, test 8)"


def make(subset=SUBSET, protocol="patient_holdout", **changed):
    return Manifest.from_table(protocol, table(**changed), np.asarray(subset))


def changed_at(values, row, value):
    values = np.array(values, dtype=object)
    values[row] = value
    return values.astype(str)


# The guard


def test_a_clean_split_passes():
    manifest = make()
    assert not manifest.leaky
    assert manifest.crossing_patients == {}
    assert manifest.crossing_contents == {}
    guard_against_leaks(manifest, patients_may_cross=False, allow_leak=False)


@pytest.mark.parametrize(("row", "elsewhere"), [(0, "val"), (0, "test"), (9, "train"), (9, "test"), (20, "train"), (20, "val")])
def test_a_patient_in_any_two_subsets_is_a_leak(row, elsewhere):
    manifest = make(changed_at(SUBSET, row, elsewhere))
    patient = PATIENTS[row]
    assert manifest.leaky
    assert manifest.crossing_patients == {patient: sorted({elsewhere, SUBSET[row]})}
    with pytest.raises(LeakError, match=f"(?s)1 patients stand in more than one subset:\n  {patient}: .*allow_leak=true"):
        guard_against_leaks(manifest, patients_may_cross=False, allow_leak=False)


@pytest.mark.parametrize(("row", "other"), [(0, 9), (0, 20), (9, 20)])
def test_an_image_in_any_two_subsets_is_a_leak_even_under_another_name(row, other):
    content = changed_at(table().content, other, table().content[row])
    manifest = make(content=content)
    assert manifest.leaky
    assert not manifest.crossing_patients
    for may_cross in (True, False):
        # The leaky protocol lets patients cross, not images.
        with pytest.raises(LeakError, match=r"1 images stand in more than one subset:\n  c\d\d: "):
            guard_against_leaks(manifest, patients_may_cross=may_cross, allow_leak=False)


def test_cells_of_unknown_patients_are_no_patient_and_may_not_be_divided_as_if_they_were():
    unknown = np.isin(PATIENTS, ["P1", "P4"])
    manifest = make(patient=np.where(unknown, UNKNOWN, PATIENTS))
    assert manifest.leaky
    with pytest.raises(LeakError, match=r"stand in more than one subset:\n  cells of unknown patients: test, train, val\n"):
        guard_against_leaks(manifest, patients_may_cross=False, allow_leak=False)
    guard_against_leaks(manifest, patients_may_cross=True, allow_leak=False)


def test_cells_of_unknown_patients_in_one_subset_may_still_be_those_of_patients_in_another():
    in_training = make(patient=np.where(SUBSET == "train", UNKNOWN, PATIENTS))
    assert in_training.leaky
    assert in_training.crossing_patients == {UNKNOWN: ["test", "train", "val"]}
    two = np.flatnonzero(SUBSET == "train")[:2]
    excluded = make(changed_at(SUBSET, two, EXCLUDED), patient=changed_at(PATIENTS, two, UNKNOWN))
    assert not excluded.leaky


def test_only_the_users_word_or_the_leaky_protocol_lets_a_leak_through_and_it_stays_marked():
    patients = make(changed_at(SUBSET, 0, "val"))
    images = make(content=changed_at(table().content, 20, table().content[1]))
    guard_against_leaks(patients, patients_may_cross=True, allow_leak=False)
    for manifest in (patients, images):
        guard_against_leaks(manifest, patients_may_cross=False, allow_leak=True)
        assert manifest.leaky


def test_a_leaky_split_is_leaky_whatever_it_is_called():
    assert make(changed_at(SUBSET, 0, "val"), protocol="patient_holdout").leaky
    assert not make(protocol="cell_level_leaky").leaky


def test_what_is_in_one_subset_twice_or_excluded_does_not_cross():
    content = changed_at(table().content, [1, 22], table().content[0])
    manifest = make(changed_at(SUBSET, [22, 3], EXCLUDED), content=content)
    assert not manifest.leaky
    guard_against_leaks(manifest, patients_may_cross=False, allow_leak=False)


def test_an_image_is_the_same_by_its_pixels_whatever_its_file():
    pixels = np.array([f"{i:0160x}" for i in range(N)])
    manifest = dataclasses.replace(make(), pixels=changed_at(pixels, [22], pixels[0]))
    assert list(manifest.crossing_contents) == [pixels[0]]
    with pytest.raises(LeakError, match=r"1 images stand in more than one subset:\n  c\d+"):
        guard_against_leaks(manifest, patients_may_cross=True, allow_leak=False)
    # The hash of runs that did not record pixels yet.
    assert manifest.hash == make().hash


@given(st.lists(st.sampled_from([*SUBSETS, EXCLUDED]), min_size=N, max_size=N), st.lists(st.integers(0, 30), min_size=N, max_size=N))
@settings(max_examples=60, deadline=None)
def test_crossing_is_what_a_plain_count_says(subset, contents):
    rows = table()
    content = np.array([f"{i:064x}" for i in contents])
    columns = {name: getattr(rows, name) for name in ("cell_id", "label", "patient", "slide", "field")}
    manifest = Manifest(protocol="small", content=content, subset=np.array(subset), **columns)
    for values, crossing in ((PATIENTS, manifest.crossing_patients), (content, manifest.crossing_contents)):
        where = {}
        for value, name in zip(values.tolist(), subset, strict=True):
            if name != EXCLUDED:
                where.setdefault(value, set()).add(name)
        assert crossing == {value: sorted(names) for value, names in where.items() if len(names) > 1}
    assert manifest.leaky == bool(manifest.crossing_patients or manifest.crossing_contents)


# Completeness, rows, counts


@pytest.mark.parametrize("subset", SUBSETS)
def test_an_empty_subset_is_refused(subset):
    with pytest.raises(DataError, match=f"subset '{subset}' is empty; 6 patients"):
        make(np.where(subset == SUBSET, EXCLUDED, SUBSET))


@pytest.mark.parametrize("subset", ["train", "val"])
@pytest.mark.parametrize("label", [0, 1])
def test_train_and_val_need_both_classes_and_test_does_not(subset, label):
    one_class = np.where(subset == SUBSET, label, table().label).astype(np.int8)
    with pytest.raises(DataError, match=f"subset '{subset}' holds only {('uninfected', 'parasitized')[label]} cells"):
        make(label=one_class)
    make(label=np.where(SUBSET == "test", label, table().label).astype(np.int8))


def test_rows_are_the_ascending_rows_of_a_subset():
    manifest = make(changed_at(SUBSET, [0, 12], EXCLUDED))
    assert manifest.rows("train").tolist() == list(range(1, 8))
    assert manifest.rows("val").tolist() == [8, 9, 10, 11, 13, 14, 15]
    assert manifest.rows(EXCLUDED).tolist() == [0, 12]


def test_counts_tell_cells_classes_and_patients():
    label = table().label.copy()
    label[:4] = 0  # P0 is healthy
    counts = make(label=label).counts()
    assert counts["train"] == {
        "cells": 8,
        "parasitized": 2,
        "uninfected": 6,
        "patients": 2,
        "infected_patients": 1,
        "healthy_patients": 1,
    }
    assert counts["test"]["healthy_patients"] == 0
    # Infected is who has a parasitized cell anywhere, also in another subset.
    split_person = make(changed_at(SUBSET, [4, 6], "val"), label=np.where(np.isin(np.arange(N), [0, 2, 4, 6]), 0, 1).astype(np.int8))
    assert split_person.counts()["val"]["infected_patients"] == 3


# The hash


@given(st.permutations(range(N)))
@settings(max_examples=20, deadline=None)
def test_the_hash_does_not_know_the_order_of_rows(order):
    manifest = make()
    turned = dataclasses.replace(manifest, **{name: getattr(manifest, name)[list(order)] for name in COLUMNS})
    assert turned.hash == manifest.hash


@settings(deadline=None, max_examples=50)
@given(cells=st.integers(2, 9), seed=st.integers(0, 2**32 - 1))
def test_a_limited_split_keeps_so_many_cells_of_each_subset_and_both_classes_alike(cells, seed):
    whole = make()
    part = whole.limited(cells, seed)
    if cells >= 8:
        assert part is whole
        return
    for name in SUBSETS:
        kept = part.rows(name)
        assert len(kept) == cells
        assert set(kept) <= set(whole.rows(name))
        assert abs(2 * int(whole.label[kept].sum()) - cells) <= 1
    assert set(part.subset) == {*SUBSETS, EXCLUDED}
    assert not part.leaky
    assert part.hash != whole.hash
    assert "limit_cells" in part.details["warnings"][-1]
    np.testing.assert_array_equal(part.subset, whole.limited(cells, seed).subset)


def test_a_limited_split_takes_what_there_is_of_a_rare_class():
    label = np.tile([0, 1], N // 2).astype(np.int8)
    label[:7], label[7] = 0, 1
    part = make(label=label).limited(4, 0)
    assert part.label[part.rows("train")].tolist().count(1) == 1
    assert len(part.rows("train")) == 4


@pytest.mark.parametrize(
    ("name", "value"),
    [("cell_id", "c99"), ("label", 1), ("patient", "P9"), ("content", "f" * 64), ("subset", EXCLUDED)],
)
def test_the_hash_changes_with_every_column_that_decides(name, value):
    manifest = make()
    column = getattr(manifest, name).copy()
    assert column[0] != value
    column = changed_at(column, 0, value)
    assert dataclasses.replace(manifest, **{name: column.astype(np.int8) if name == "label" else column}).hash != manifest.hash
    # Also where two cells swap their subsets.
    assert make(changed_at(changed_at(SUBSET, 0, "val"), 8, "train")).hash != manifest.hash


# Files


@given(
    st.lists(
        st.tuples(st.integers(0, 1), text, text, text, text, st.sampled_from([*SUBSETS, EXCLUDED])),
        min_size=1,
        max_size=8,
    ),
    st.data(),
)
@settings(max_examples=40, deadline=None)
def test_reading_what_was_written_is_exact(tmp_path_factory, rows, data):
    label, *columns = zip(*rows, strict=True)
    names = ("patient", "slide", "field", "content", "subset")
    known = data.draw(st.booleans())
    pixels = np.array([data.draw(st.sampled_from(["", fingerprint(np.full((2, 2, 3), i, np.uint8))])) for i in range(len(rows))])
    written = Manifest(
        protocol="small",
        pixels=pixels if known else None,
        cell_id=np.array([f"c{i}" for i in range(len(rows))]),
        label=np.array(label, dtype=np.int8),
        **{name: np.array(column) for name, column in zip(names, columns, strict=True)},
    )
    path = tmp_path_factory.mktemp("manifest") / "split.csv"
    written.write(path)
    got = Manifest.read(path, "small")
    for name in COLUMNS:
        assert getattr(got, name).tolist() == getattr(written, name).tolist()
    assert got.pixels.tolist() == (pixels if known else np.full(len(rows), "")).tolist()
    assert got.label.dtype == np.int8
    assert got.hash == written.hash
    assert [entry.name for entry in path.parent.iterdir()] == ["split.csv"]


def write(tmp_path, content):
    path = tmp_path / "split.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


HEADER = ",".join(COLUMNS) + "\n"
ROW = "c1,parasitized,P1,S1,F1,aa,train\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no column .*cell_id.*its columns are none"),
        ("cell_id,subset\n", "no column content, field, label, patient, slide"),
        (HEADER, "holds no cells"),
        (HEADER + ROW + "c2,parasitized,P1\n", "line 3: the number of fields differs"),
        (HEADER + ROW + "\n\n" + ROW.replace("\n", ",more\n"), "line 5: the number of fields differs"),
        (HEADER + ROW + '"c2"x,parasitized,P1,S1,F1,aa,train\n' + ROW, "line 3: cannot be read as CSV"),
        (HEADER + ROW + '"c2,parasitized', "line 3: cannot be read as CSV"),
        (HEADER.replace("subset", "pixels,subset") + ROW.replace("train", "zz,train"), "column pixels are no fingerprints"),
        (HEADER + ROW.replace("parasitized", "1"), "unknown label '1'; expected one of uninfected, parasitized"),
        (b"\xff\xfe\x00cell", "cannot be read as CSV"),
    ],
    ids=["empty", "columns", "no rows", "short", "long after blank lines", "quote", "open quote", "pixels", "label", "bytes"],
)
def test_a_damaged_file_is_a_data_error_with_its_place(tmp_path, content, message):
    with pytest.raises(DataError, match=message) as caught:
        Manifest.read(write(tmp_path, content), "small")
    assert "split.csv" in str(caught.value)


def test_a_missing_file_and_a_folder_are_data_errors(tmp_path):
    with pytest.raises(DataError, match="No file"):
        Manifest.read(tmp_path / "nothing.csv", "small")
    with pytest.raises(DataError, match="cannot be read"):
        Manifest.read(tmp_path, "small")


def test_rows_keep_their_lines_and_spreadsheets_may_have_written_them(tmp_path):
    path = write(tmp_path, "\ufeffsubset,patient\r\ntrain,P1\r\n\r\ntest,P2\r\n")
    assert read_csv(path, ("subset",)) == [(2, {"subset": "train", "patient": "P1"}), (4, {"subset": "test", "patient": "P2"})]
