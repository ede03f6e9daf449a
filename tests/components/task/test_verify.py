"""Each way in which a copy can differ from the NIH set is found, named and counted, and ends with an exit code."""

import csv
import hashlib
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from conftest import ROOT

from malaria_exp.components.task.verify import KINDS, compare, is_nih, undecodable
from malaria_exp.config.registry import build
from malaria_exp.data.cell_table import CLASS_NAMES, BadImage, BadImageError, CellTable
from malaria_exp.data.readers.index import DIGITS, Known, read_index
from malaria_exp.utils.errors import ConfigError, DataError

OTHER = {"parasitized": "uninfected", "uninfected": "parasitized"}


class Plain:
    def read(self, index):
        return np.zeros((4, 4, 3), np.uint8)


def content(known):
    """A whole SHA-256 that begins as the index has it."""
    return known.digits + "0" * (64 - DIGITS)


def make(cells, name="nih", bad=(), file=True, source=None):
    """A table of (name, class name, content) with the patients of the names."""
    cells = list(cells)
    parts = [Known(cell_id.rpartition("/")[2], "", "").parts for cell_id, _, _ in cells]
    return CellTable(
        name=name,
        cell_id=np.array([cell_id for cell_id, _, _ in cells]),
        label=np.array([CLASS_NAMES.index(class_name) for _, class_name, _ in cells], np.int8),
        patient=np.array([part.patient for part in parts]),
        slide=np.array([part.slide for part in parts]),
        field=np.array([part.field for part in parts]),
        content=np.array([digest for _, _, digest in cells]),
        source=source or Plain(),
        file=np.array([f"x/{cell_id}.png" for cell_id, _, _ in cells]) if file else None,
        bad=tuple(bad),
    )


@pytest.fixture(scope="module")
def people():
    """The files of two people of the index, with cells of both classes."""
    chosen = [known for known in read_index().values() if known.parts.patient in ("P008", "P061")]
    assert {known.class_name for known in chosen} == set(CLASS_NAMES)
    return sorted(chosen)


def rows(people):
    return [(known.cell_id, known.class_name, content(known)) for known in people]


def off(table, people="present"):
    return {kind: found for kind, found in compare(table, people).items() if found}


# What is compared


def test_a_whole_copy_has_no_findings():
    assert off(make(rows(read_index().values())), "all") == {}


def test_what_lies_below_folders_or_has_no_files_is_compared_by_its_name(people):
    cells = [(f"some/folder/{cell_id}", *rest) for cell_id, *rest in rows(people)]
    assert off(make(cells)) == {}
    assert off(make(rows(people), file=False)) == {}


def test_files_that_are_not_here_are_missing(people):
    assert off(make(rows(people[2:]))) == {"missing": [(f"{known.cell_id}.png", known.class_name) for known in people[:2]]}


def test_people_without_any_file_are_missing_unless_only_those_present_are_expected(people):
    table = make(rows(people))
    assert off(table, "present") == {}
    missing = off(table, "all")["missing"]
    assert len(missing) == len(read_index()) - len(people)
    assert {known.cell_id for known in people}.isdisjoint(name.removesuffix(".png") for name, _ in missing)


def test_a_foreign_file_is_extra(people):
    name = "C999P999ThinF_IMG_20150918_144104_cell_1"
    assert off(make([*rows(people), (name, "uninfected", "f" * 64)])) == {"extra": [(f"x/{name}.png", "")]}


def test_another_content_under_a_known_name_is_changed_and_not_missing(people):
    first, *others = people
    table = make([(first.cell_id, first.class_name, "f" * 64), *rows(others)])
    assert off(table) == {"changed": [(f"x/{first.cell_id}.png", "other content than the NIH set's file of this name")]}


def test_a_known_content_under_another_name_is_renamed_and_not_missing(people):
    first, *others = people
    # Of the same patient, who is then present.
    name = f"{first.cell_id}99"
    table = make([(name, first.class_name, content(first)), *rows(others)])
    assert off(table) == {"renamed": [(f"x/{name}.png", f"is {first.cell_id}")]}


def test_two_files_that_changed_names_are_both_renamed(people):
    (one, two), others = people[:2], people[2:]
    cells = [(one.cell_id, one.class_name, content(two)), (two.cell_id, two.class_name, content(one)), *rows(others)]
    assert off(make(cells)) == {"renamed": [(f"x/{one.cell_id}.png", f"is {two.cell_id}"), (f"x/{two.cell_id}.png", f"is {one.cell_id}")]}


@pytest.mark.parametrize("class_name", CLASS_NAMES)
def test_a_file_in_the_other_class_is_found(people, class_name):
    first = next(known for known in people if known.class_name == class_name)
    others = [known for known in people if known is not first]
    table = make([(first.cell_id, OTHER[class_name], content(first)), *rows(others)])
    assert off(table) == {"other class": [(f"x/{first.cell_id}.png", f"{OTHER[class_name]} here, {class_name} in the NIH set")]}


@pytest.mark.parametrize("prefix", ["", "Parasitized"])
def test_a_file_that_cannot_be_used_is_here_and_not_missing(people, prefix):
    bad = [BadImage(f"cell_images/Parasitized/{prefix}{people[0].cell_id}.png", "empty")]
    assert off(make(rows(people[1:]), bad=bad)) == {}


@pytest.mark.parametrize(
    ("name", "known_name", "known_content", "compared"),
    [
        ("nih", False, False, True),
        ("tfds", False, False, True),
        ("folder", False, False, False),
        ("folder", True, False, True),
        ("folder", False, True, True),
    ],
)
def test_what_has_nothing_of_the_nih_set_and_does_not_claim_to_be_it_is_not_compared(people, name, known_name, known_content, compared):
    cell = people[0].cell_id if known_name else "C999P999ThinF_IMG_20150918_144104_cell_1"
    assert is_nih(make([(cell, "uninfected", content(people[0]) if known_content else "f" * 64)], name=name)) is compared


def test_every_image_is_looked_at(people):
    class Torn:
        def read(self, index):
            if index in (1, 4):
                raise BadImageError(f"torn {index}")
            return np.zeros((4, 4, 3), np.uint8)

    assert undecodable(make(rows(people)[:6], source=Torn())) == {1: "torn 1", 4: "torn 4"}


# What is shown


@pytest.fixture
def verify(monkeypatch, capsys):
    """verify(table, **params) -> (what was printed, the error's text or None)."""

    def run(table, **params):
        monkeypatch.setattr("malaria_exp.runs.load_data.load_table", lambda config: table)
        error = None
        try:
            build("task", "verify", params, type("App", (), {"config": None})())
        except DataError as caught:
            error = str(caught)
        return capsys.readouterr().out, error

    return run


def count_of(printed, kind):
    (number,) = re.findall(rf"^ +{kind} +([\d,]+) ", printed, re.MULTILINE)
    return int(number.replace(",", ""))


def test_counts_are_those_of_the_table_beside_those_of_the_index(people, verify):
    printed, error = verify(make(rows(people[3:])), people="present")
    for class_name in (*CLASS_NAMES, "all"):
        (line,) = re.findall(rf"^ +{class_name} +(.*)$", printed, re.MULTILINE)
        here, there = ([known for known in part if class_name in (known.class_name, "all")] for part in (people[3:], people))
        expected = []
        for kind in ("patient", "slide", "field"):
            numbers = [len({getattr(known.parts, kind) for known in part}) for part in (here, there)]
            expected.append(f"{numbers[0]} ({numbers[1]})")
        counts = [sum(known.parts.patient == person for known in here) for person in {known.parts.patient for known in here}]
        spread = f"{min(counts)}, {np.median(counts):.0f}, {max(counts)}"
        assert re.split(r"  +", line.strip()) == [f"{len(here)} ({len(there)})", *expected, spread]
    assert count_of(printed, "missing") == 3
    assert "missing: 3\n" in error
    assert people[0].cell_id in error


def test_nothing_off_is_no_error(people, verify):
    printed, error = verify(make(rows(people)), people="present")
    assert error is None
    assert {kind: count_of(printed, kind) for kind in KINDS} == dict.fromkeys(KINDS, 0)


def test_each_kind_is_counted_listed_and_written(people, verify, tmp_path):
    a, b, c, d, *others = people
    cells = [
        (b.cell_id, b.class_name, "e" * 64),
        (f"{c.cell_id}99", c.class_name, content(c)),
        (d.cell_id, OTHER[d.class_name], content(d)),
        ("C999P999ThinF_IMG_20150918_144104_cell_1", "uninfected", "f" * 64),
        *rows(others),
    ]
    bad = [BadImage("x/double.png", "the same image as x/first.png")]
    to = tmp_path / "new" / "findings.csv"
    printed, error = verify(make(cells, bad=bad), people="present", to=str(to))
    assert {kind: count_of(printed, kind) for kind in KINDS} == dict.fromkeys(KINDS, 1)
    with to.open(newline="") as file:
        header, *found = csv.reader(file)
    assert header == ["kind", "file", "what"]
    assert sorted(row[0] for row in found) == sorted(KINDS)
    assert [a.cell_id in " ".join(row) for row in found if row[0] == "missing"] == [True]
    for kind, file, what in found:
        assert f"{kind}: 1\n  {file}" in error
        assert what in error
    assert str(to) in printed
    assert "task.to" not in error


def test_whoever_has_some_of_the_people_only_is_told_how_to_say_so_once(people, verify):
    assert "198 of 200 people there is no file here" in verify(make(rows(people)))[1]
    assert "task.people=present" not in verify(make(rows(people[1:])), people="present")[1]


def test_cells_of_another_set_are_counted_only(verify):
    table = build("dataset", "synthetic", {"infected_patients": 2, "healthy_patients": 1, "cells_per_patient": 4, "cell_size": 32})
    printed, error = verify(table)
    assert error is None
    assert "nothing to compare" in printed
    assert "(" not in printed


def test_a_table_that_cannot_be_written_is_a_message(people, verify, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match=r"task\.to: cannot write '.*file/x\.csv'"):
        verify(make(rows(people)), to=str(tmp_path / "file" / "x.csv"))


# As a program, on real files


def test_the_exit_code_tells(real_zip, tmp_path):
    with zipfile.ZipFile(real_zip) as archive:
        person = [name for name in archive.namelist() if "P61ThinF" in name and name.endswith(".png")]
        for name in ("clean.zip", "off.zip"):
            with zipfile.ZipFile(tmp_path / name, "w") as copy:
                for file in person[1:] if name == "off.zip" else person:
                    copy.writestr(file, archive.read(file)[:-20] if name == "off.zip" and file == person[2] else archive.read(file))
        assert hashlib.sha256(archive.read(person[0])).hexdigest()[:DIGITS] in read_index()
    program = [sys.executable, str(ROOT / "run.py"), "task=verify", "dataset=nih", "task.people=present"]

    def run(name):
        return subprocess.run([*program, f"dataset.path={name}"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)

    clean, off = run("clean.zip"), run("off.zip")
    assert clean.returncode == 0, clean.stderr
    assert off.returncode == DataError.exit_code
    assert "Traceback" not in off.stderr
    assert {kind: count_of(off.stdout, kind) for kind in KINDS} == dict.fromkeys(KINDS, 0) | {
        "missing": 1,
        "changed": 1,
        "bad or double": 1,
    }
    assert person[0].rpartition("/")[2] in off.stderr
    assert re.search(rf"{re.escape(person[2])}: truncated PNG", off.stderr)
    # Nothing is written.
    assert {path.name for path in tmp_path.iterdir()} == {"clean.zip", "off.zip"}
