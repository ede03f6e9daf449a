"""CSV files that users may have written, in a spreadsheet above all, and cells that no spreadsheet takes for a formula."""

import csv
import io
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from malaria_exp.utils.errors import DataError, did_you_mean
from malaria_exp.utils.replaced_files import archive_kind, stands_for

# Spreadsheets of countries with a decimal comma write semicolons.
DELIMITERS = (",", ";", "\t")
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
FORMULA = re.compile(r"'*[=+\-@\t\r].", re.DOTALL)

# An array of texts takes for each the memory of the longest.
LONGEST = 4096


def read_csv(path: Path, needed: Iterable[str]) -> list[tuple[int, dict[str, str]]]:
    """Reads a CSV with a header that has at least the needed columns; a row of another length is a DataError with its line.

    Comma, semicolon or tab; UTF-8 or UTF-16, with or without a mark in front; names of columns in any case of letters; rows of nothing are
    skipped. Files that `write_csv` wrote come back as they were.

    Args:
        path: of the CSV.
        needed: names of columns in lower case.

    Returns:
        The rows by column in lower case, each with the number of its line in the file.

    Raises:
        DataError: the file is not there, is no CSV, is in a code page, or lacks a column.
    """
    try:
        text = _text(path, path.read_bytes())
    except FileNotFoundError:
        near = [item.as_posix() for item in path.parent.glob("*.csv")] if path.parent.is_dir() else []
        raise DataError(f"No file '{path}'.{did_you_mean(path.as_posix(), near)}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read as CSV: {error}") from None
    wanted, head = set(needed), text.partition("\n")[0]
    told = re.fullmatch(r'"?sep=(.)"?\r?', head)  # Excel's way of naming the delimiter
    if told:
        text = text.partition("\n")[2]
    columns_by = {mark: map(_column, next(csv.reader([head], delimiter=mark), [])) for mark in DELIMITERS}
    delimiter = told[1] if told else next((mark for mark, columns in columns_by.items() if wanted <= set(columns)), ",")
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        given = reader.fieldnames or ()
        columns = [_column(name) for name in given]
        missing = wanted - set(columns)
        if missing:
            raise DataError(f"{path}: no column {', '.join(sorted(missing))}; its columns are {', '.join(given) or 'none'}.")
        double = next((name for name in columns if name and columns.count(name) > 1), None)
        if double:
            raise DataError(f"{path}: the column {double} stands in its header more than once.")
        reader.fieldnames = columns
        rows = [(reader.line_num + bool(told), row) for row in reader]
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.reader.line_num + bool(told)}: cannot be read as CSV: {error}") from None
    found = []
    for number, row in rows:
        if None in row or None in row.values():
            raise DataError(f"{path}, line {number}: the number of fields differs from the header's.")
        if any(len(value) > LONGEST for value in row.values()):
            raise DataError(f"{path}, line {number}: a field has more than {LONGEST:,} characters.")
        if any(value.strip() for value in row.values()):
            found.append((number, {name: from_cell(value) for name, value in row.items()}))
    return found


def to_cell(value: Any) -> Any:
    """Returns a value as it is written to a CSV: text that a spreadsheet would take for a formula gets an apostrophe in front."""
    if not isinstance(value, str) or not FORMULA.match(value):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def from_cell(text: str) -> str:
    """Returns the text that `to_cell` was given."""
    return text[1:] if text.startswith("'") and FORMULA.match(text) else text


def _column(name: str) -> str:
    return name.strip().lower()


def _text(path: Path, data: bytes) -> str:
    other = stands_for(data)
    if other:
        raise DataError(f"{path}: is {other}.")
    kind = archive_kind(data)
    if kind:
        raise DataError(f"{path}: is {kind}, no CSV. A spreadsheet writes one by 'save as', type 'CSV UTF-8'.")
    try:
        return data.decode("utf-16" if data.startswith(UTF_16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        if error.encoding != "utf-8":
            raise DataError(f"{path}: cannot be read as CSV: {error}") from None
        line = data[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}, line {line}: is not in UTF-8 but in a code page of some countries, so its letters cannot be told for sure. Save it in the"
            f" spreadsheet as 'CSV UTF-8', or convert it, from that of Western Europe: iconv -f WINDOWS-1252 -t UTF-8 '{path.name}' > utf8.csv"
        ) from None
