"""CSV files as spreadsheets write them are read, or it is said what to do; what the program writes is no formula, and comes back as it was."""

import csv

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from malaria_exp.utils.atomic_files import write_csv
from malaria_exp.utils.csv_files import from_cell, read_csv, to_cell
from malaria_exp.utils.errors import DataError

ROWS = [(2, {"file": "a;b.png", "patient": "Zoé"}), (3, {"file": "c.png", "patient": ""})]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("header", ["file{}patient", " File {}PATIENT", '"FILE"{}"Patient"'])
def test_what_spreadsheets_write_is_read(encoding, mark, header, tmp_path):
    path = tmp_path / "cells.csv"
    text = f'{header.format(mark)}\r\n"a;b.png"{mark}Zoé\r\nc.png{mark}\r\n{mark}\r\n\r\n'
    path.write_bytes(text.encode(encoding))
    assert read_csv(path, ("file",)) == ROWS


def test_a_line_that_names_the_delimiter_is_no_header(tmp_path):
    path = tmp_path / "cells.csv"
    path.write_bytes(b"sep=|\r\nfile|patient\r\na|b\r\n")
    assert read_csv(path, ("file",)) == [(3, {"file": "a", "patient": "b"})]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,patient\na.png,Anna\nb.png,Zoé\n".encode("cp1252"), r"cells\.csv, line 3: is not in UTF-8.*CSV UTF-8.*iconv"),
        (b"PK\3\4...", "a zip or a workbook, no CSV"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
        (b"<!DOCTYPE html>", "web page"),
        (b"file,File\na,b\n", "the column file stands in its header more than once"),
        (b"name;patient\na;b\n", r"no column file; its columns are name;patient\."),
    ],
)
def test_what_is_not_read_is_named_with_what_to_do(content, message, tmp_path):
    path = tmp_path / "cells.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_csv(path, ("file",))


@given(st.text(alphabet="'=+-@\t\r1a", max_size=5))
@example("=HYPERLINK(1)")
def test_no_text_is_a_formula_and_all_of_it_comes_back(text):
    cell = to_cell(text)
    assert from_cell(cell) == text
    try:
        float(text)
    except ValueError:
        assert not (len(cell) > 1 and cell[0] in "=+-@\t\r")


def test_numbers_stay_numbers_in_what_is_written(tmp_path):
    path = write_csv(tmp_path / "x.csv", ("a", "b", "c", "d"), [(-1.5, "-1.5", "=1+1", "-")])
    with path.open(newline="") as file:
        assert list(csv.reader(file))[1] == ["-1.5", "-1.5", "'=1+1", "-"]
