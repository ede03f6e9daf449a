"""What verify finds is counted, listed, and ends with an exit code."""

import csv
import hashlib
import re
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from nih_tables import FOREIGN, OTHER, Plain, content, make, rows, two_patients

from malaria_exp.components.dataset.nih import nih
from malaria_exp.config.registry import build
from malaria_exp.data.cell_table import CLASS_NAMES, UNKNOWN, BadImage
from malaria_exp.data.readers.index import DIGITS, read_index
from malaria_exp.data.verification import KINDS, NEAR
from malaria_exp.utils.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def known():
    return two_patients()


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


def test_counts_are_those_of_the_table_beside_those_of_the_index(known, verify):
    printed, error = verify(make(rows(known[3:])), patients="present")
    for class_name in (*CLASS_NAMES, "all"):
        (line,) = re.findall(rf"^ +{class_name} +(.*)$", printed, re.MULTILINE)
        here, there = ([item for item in part if class_name in (item.class_name, "all")] for part in (known[3:], known))
        expected = []
        for kind in ("patient", "slide", "field"):
            numbers = [len({getattr(item.parts, kind) for item in part}) for part in (here, there)]
            expected.append(f"{numbers[0]} ({numbers[1]})")
        counts = [sum(item.parts.patient == patient for item in here) for patient in {item.parts.patient for item in here}]
        spread = f"{min(counts)}, {np.median(counts):.0f}, {max(counts)}"
        assert re.split(r"  +", line.strip()) == [f"{len(here)} ({len(there)})", *expected, spread]
    assert count_of(printed, "missing") == 3
    assert "missing: 3\n" in error and known[0].cell_id in error


def test_nothing_off_is_no_error(known, verify):
    printed, error = verify(make(rows(known)), patients="present")
    assert error is None
    assert {kind: count_of(printed, kind) for kind in KINDS} == dict.fromkeys(KINDS, 0)


def test_each_kind_is_counted_listed_and_written(known, verify, tmp_path):
    a, b, c, d, *others = known
    cells = [
        (b.cell_id, b.class_name, "e" * 64),
        (f"{c.cell_id}99", c.class_name, content(c)),
        (d.cell_id, OTHER[d.class_name], content(d)),
        FOREIGN,
        *rows(others),
    ]
    bad = [BadImage("x/double.png", "the same image as x/first.png")]
    to = tmp_path / "new" / "findings.csv"

    class Alike(Plain):
        def read(self, index):
            return super().read(index) if index < len(cells) - 1 else super().read(0) + np.uint8(1)

    printed, error = verify(make(cells, bad=bad, source=Alike()), patients="present", to=str(to))
    assert {kind: count_of(printed, kind) for kind in KINDS} == dict.fromkeys(KINDS, 1)
    with to.open(newline="") as file:
        header, *found = csv.reader(file)
    assert header == ["kind", "file", "what"]
    assert sorted(row[0] for row in found) == sorted(KINDS)
    assert [a.cell_id in " ".join(row) for row in found if row[0] == "missing"] == [True]
    for kind, file, what in found:
        if kind == NEAR:
            assert f"{kind}: {file} {what}" in printed
            assert NEAR not in error, "a hint is no error"
            continue
        assert f"{kind}: 1\n  {file}" in error
        assert what in error
    assert str(to) in printed
    assert "task.to" not in error


def test_whoever_has_some_of_the_patients_only_is_told_how_to_say_so_once(known, verify):
    # In the first line: the list below it may be long.
    assert "198 of 200 patients there is no file here" in verify(make(rows(known)))[1].splitlines()[0]
    assert "task.patients=present" not in verify(make(rows(known[1:])), patients="present")[1]


def test_cells_of_another_set_are_counted_only(verify):
    table = build("dataset", "synthetic", {"infected_patients": 2, "healthy_patients": 1, "cells_per_patient": 4, "cell_size": 32})
    printed, error = verify(table)
    assert error is None
    assert "nothing to compare" in printed and "(" not in printed


def test_unknown_patients_are_not_counted_as_one(verify):
    table = build("dataset", "synthetic", {"infected_patients": 1, "healthy_patients": 1, "cells_per_patient": 4, "cell_size": 32})
    nobody = np.full(len(table), UNKNOWN)
    printed, _ = verify(replace(table, patient=nobody, slide=nobody, field=nobody))
    assert re.search(rf"^ +all +{len(table)} +0 +0 +0 *$", printed, re.MULTILINE)


def test_a_table_that_cannot_be_written_is_a_message(known, verify, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match=r"task\.to: cannot write '.*file/x\.csv'"):
        verify(make(rows(known)), to=str(tmp_path / "file" / "x.csv"))


def test_on_real_files(real_zip, verify, tmp_path):
    with zipfile.ZipFile(real_zip) as archive:
        files = [name for name in archive.namelist() if "P61ThinF" in name and name.endswith(".png")]
        for name in ("clean.zip", "off.zip"):
            with zipfile.ZipFile(tmp_path / name, "w") as copy:
                for file in files[1:] if name == "off.zip" else files:
                    copy.writestr(file, archive.read(file)[:-20] if name == "off.zip" and file == files[2] else archive.read(file))
        assert hashlib.sha256(archive.read(files[0])).hexdigest()[:DIGITS] in read_index()
    assert verify(nih(path=str(tmp_path / "clean.zip")), patients="present")[1] is None
    printed, error = verify(nih(path=str(tmp_path / "off.zip")), patients="present")
    expected = dict.fromkeys(KINDS, 0) | {"missing": 1, "changed": 1, "bad or double": 1}
    assert {kind: count_of(printed, kind) for kind in KINDS} == expected
    assert files[0].rpartition("/")[2] in error
    assert re.search(rf"{re.escape(files[2])}: truncated PNG", error)
