"""A given split is used as it is; what it leaves out or says twice stops the run with the line of the file."""

import csv
import re
from dataclasses import replace

import numpy as np
import pytest

from malaria_exp.components.split.by_manifest import by_manifest
from malaria_exp.components.split.patient_holdout import patient_holdout
from malaria_exp.config.registry import build
from malaria_exp.data.cell_table import BadImage, CellTable
from malaria_exp.data.split_manifest import EXCLUDED, guard_against_leaks
from malaria_exp.utils.errors import ConfigError, DataError, LeakError


@pytest.fixture(scope="module")
def table() -> CellTable:
    return build("dataset", "synthetic", {"infected_patients": 6, "healthy_patients": 2, "cells_per_patient": 8})


@pytest.fixture
def by_patient(table):
    """A sensible subset for each patient."""
    patients = sorted(set(table.patient.tolist()))
    sick = [name for name in patients if table.infected[table.patient == name].any()]
    subset = dict.fromkeys(patients, "train")
    return subset | {sick[0]: "val", sick[1]: "test", sick[2]: "test"}


def write(path, rows, header=("cell_id", "subset")):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


def cells(table, by_patient):
    return [[cell, by_patient[patient]] for cell, patient in zip(table.cell_id.tolist(), table.patient.tolist(), strict=True)]


def test_another_runs_split_gives_the_same_manifest(table, tmp_path):
    first = patient_holdout(table, train=0.5, val=0.25, test=0.25)
    first.write(tmp_path / "split.csv")
    got = by_manifest(table, path=str(tmp_path / "split.csv"))
    assert got.hash == first.hash and got.protocol == "by_manifest" and got.details["excluded_cells"] == 0


def test_the_order_of_lines_and_other_columns_decide_nothing(table, by_patient, tmp_path):
    rows = [[note, subset, cell] for note, (cell, subset) in enumerate(cells(table, by_patient))]
    got = [by_manifest(table, path=write(tmp_path / "a.csv", lines, ("note", "subset", "cell_id"))).hash for lines in (rows, rows[::-1])]
    assert got[0] == got[1]


def test_what_was_excluded_as_bad_may_stand_in_the_list(table, by_patient, tmp_path):
    path = write(tmp_path / "cells.csv", cells(table, by_patient))
    lost = str(table.cell_id[5])
    rest = table.select(np.delete(np.arange(len(table)), 5))
    left = replace(rest, bad=(BadImage(f"some/where/{lost}.png", "torn"), BadImage(f"some/where/no{table.cell_id[7]}.png", "torn")))
    assert lost not in by_manifest(left, path=path).cell_id
    for other in (rest, replace(left, bad=left.bad[1:])):
        with pytest.raises(DataError, match=rf"1 of {len(table)} entries are not in dataset.*\n  {lost}"):
            by_manifest(other, path=path)


def test_a_list_of_patients_gives_all_their_cells(table, by_patient, tmp_path):
    whole = by_manifest(table, path=write(tmp_path / "cells.csv", cells(table, by_patient)))
    patients = by_manifest(table, path=write(tmp_path / "patients.csv", by_patient.items(), ("patient", "subset")))
    assert patients.hash == whole.hash
    assert patients.subset.tolist() == [by_patient[name] for name in table.patient.tolist()]


def test_words_of_other_tools_and_file_endings_are_understood(table, by_patient, tmp_path):
    said = {"train": ["training", " Train ", "TRAIN"], "val": [" Validation", "valid", "DEV "], "test": ["testing", "Test"]}
    rows = [[f"{cell}.png", said[subset][i % len(said[subset])]] for i, (cell, subset) in enumerate(cells(table, by_patient))]
    got = by_manifest(table, path=write(tmp_path / "a.csv", rows))
    assert got.hash == by_manifest(table, path=write(tmp_path / "b.csv", cells(table, by_patient))).hash


@pytest.mark.parametrize("word", ["tset", "holdout", "", "train val"])
def test_an_unknown_subset_is_named_with_its_line_even_after_blank_ones(word, table, by_patient, tmp_path):
    rows = cells(table, by_patient)
    nearest = ".*Did you mean 'test'" if word == "tset" else ""
    with pytest.raises(DataError, match=rf"a\.csv, line 5: subset '{word}'; expected one of train, val, test, excluded{nearest}"):
        by_manifest(table, path=write(tmp_path / "a.csv", [rows[0], [], [], [rows[1][0], word]]))


def test_a_contradiction_is_named_and_a_repetition_is_not(table, by_patient, tmp_path):
    rows = cells(table, by_patient)
    by_manifest(table, path=write(tmp_path / "a.csv", [*rows, rows[0]]))
    other = [rows[0][0], "test" if rows[0][1] != "test" else "train"]
    message = f"line {len(rows) + 2}: cell_id {rows[0][0]} was given the subset {rows[0][1]} before and {other[1]} here"
    with pytest.raises(DataError, match=re.escape(message)):
        by_manifest(table, path=write(tmp_path / "a.csv", [*rows, other]))


def test_what_the_dataset_does_not_have_is_listed(table, by_patient, tmp_path):
    rows = [*cells(table, by_patient), ["C9P9ThinF_IMG_20150101_000000_cell_1", "train"], ["stranger", "test"]]
    with pytest.raises(DataError, match=rf"2 of {len(rows)} entries are not in dataset 'synthetic':\n  C9P9ThinF.*\n  stranger"):
        by_manifest(table, path=write(tmp_path / "a.csv", rows), unlisted="exclude")


def test_unlisted_cells_stop_the_run_or_are_left_out(table, by_patient, tmp_path):
    rows = cells(table, by_patient)
    excluded = next(cell for cell, subset in rows if subset == "train")
    path = write(tmp_path / "a.csv", [row for row in rows if row[0] != excluded])
    with pytest.raises(DataError, match=rf"1 of the dataset's cell_id entries are not listed:\n  {excluded}\n.*split\.unlisted=exclude"):
        by_manifest(table, path=path)
    got = by_manifest(table, path=path, unlisted="exclude")
    assert got.cell_id[got.subset == EXCLUDED].tolist() == [excluded] and got.details["excluded_cells"] == 1


def test_excluded_is_a_word_of_its_own(table, by_patient, tmp_path):
    sick = next(name for name, subset in by_patient.items() if subset == "test")
    got = by_manifest(table, path=write(tmp_path / "a.csv", (by_patient | {sick: "excluded"}).items(), ("patient", "subset")))
    assert set(got.subset[got.patient == sick].tolist()) == {EXCLUDED}
    assert not got.leaky


def test_patients_in_two_subsets_are_taken_but_do_not_pass_the_guard(table, by_patient, tmp_path):
    rows = cells(table, by_patient)
    row = next(i for i, (_, subset) in enumerate(rows) if subset == "train")
    rows[row][1] = "test"
    manifest = by_manifest(table, path=write(tmp_path / "a.csv", rows))
    with pytest.raises(LeakError, match=f"by_manifest' leaks: 1 patients.*\n  {table.patient[row]}: test, train"):
        guard_against_leaks(manifest, patients_may_cross=False, allow_leak=False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("cell_id\nc1\n", "no column subset; its columns are cell_id"),
        ("cell_id,subset\n", "expected a column cell_id or patient and at least one row"),
        ("name,subset\nc1,train\n", "expected a column cell_id or patient"),
    ],
)
def test_a_malformed_file_is_refused(content, message, table, tmp_path):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        by_manifest(table, path=str(tmp_path / "a.csv"))


def test_a_missing_file_or_path_is_named(table, tmp_path):
    with pytest.raises(DataError, match=r"No file '.*nothing\.csv'"):
        by_manifest(table, path=str(tmp_path / "nothing.csv"))
    with pytest.raises(ConfigError, match=r"split\.path"):
        build("split", "by_manifest", {}, table)
