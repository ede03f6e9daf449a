"""The user's CSV of a folder dataset: which patient, slide, field and class each file has, what it weighs in training, and more."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from malaria_exp.data.cell_table import BadImage
from malaria_exp.data.readers.class_words import class_word
from malaria_exp.data.readers.files import Files, clean_name, split_ending
from malaria_exp.utils.csv_files import read_csv
from malaria_exp.utils.errors import DataError, did_you_mean, listing

COLUMNS = ("patient", "slide", "field", "label", "weight")
# What spreadsheets and statistics programs write where there is nothing.
NOTHING = ("", "na", "n/a", "#n/a", "nan", "none", "null", "unknown")


class CellList(NamedTuple):
    """What the CSV says.

    Attributes:
        path: of the CSV.
        rows: by file number, those of the columns patient, slide, field (text, empty if unknown), label (a class name) and weight (a number) that there
            are, and of further ones (text, empty if unknown).
        columns: which of those five there are.
        further: names of the others.
        missing: files that are listed and do not exist, or could be several.
    """

    path: str
    rows: dict[int, dict[str, str]]
    columns: tuple[str, ...]
    further: tuple[str, ...]
    missing: list[BadImage]


def read_cell_list(path: str, files: Files, class_of: Mapping[str, str]) -> CellList:
    """Reads the CSV and finds its files.

    Args:
        path: a CSV with a header; the column `file` holds paths below the dataset's path, or bare names where they are unique; the
            ending may be missing.
            Nothing, NA, nan, none, null and unknown all mean that a patient, slide, field or further value is not known.
        files: of the dataset.
        class_of: class name by label as `class_word` writes it.

    Raises:
        DataError: the CSV cannot be read, has none of the columns patient, slide, field, label and weight, lists a file twice or none
            that exists, or has a label that is not known or a weight that is none.
    """
    where = f"dataset.csv: {path}"
    try:
        rows = read_csv(Path(path).expanduser(), ("file",))
    except (DataError, RuntimeError) as error:  # the latter for the ~ of a user that does not exist
        raise DataError(f"dataset.csv: {error}") from None
    if not rows:
        raise DataError(f"{where}: it has a header and no rows.")
    given = tuple(name for name in COLUMNS if name in rows[0][1])
    further = tuple(name for name in rows[0][1] if name and name not in ("file", *COLUMNS))
    if not given:
        raise DataError(
            f"{where}: expected a column {', '.join(COLUMNS[:-1])} or {COLUMNS[-1]} beside file; received {', '.join(rows[0][1])}."
        )
    find = _finder(files)
    found: dict[int, dict[str, str]] = {}
    line_of: dict[int, int] = {}
    missing = []
    for number, row in rows:
        indices = find(row["file"])
        if len(indices) != 1:
            why = "but several files have this name; give the path" if indices else "but there is no such file"
            missing.append(BadImage(clean_name(row["file"]), f"stands in {path}, line {number}, {why}"))
            continue
        index = indices[0]
        if index in found:
            raise DataError(f"{where}, line {number}: '{row['file']}' stands in line {line_of[index]} already.")
        values = {name: "" if row[name].strip().lower() in NOTHING else row[name].strip() for name in (*given, *further)}
        if "label" in values:
            class_name = class_of.get(class_word(row["label"]))
            if class_name is None:
                raise DataError(
                    f"{where}, line {number}: label {row['label']!r}; expected one of {', '.join(class_of)}.{did_you_mean(row['label'], class_of)}"
                    " Other words: dataset.positive=... dataset.negative=..."
                )
            values["label"] = class_name
        if "weight" in values:
            values["weight"] = _weight(values["weight"], f"{where}, line {number}")
        found[index], line_of[index] = values, number
    if not found:
        raise DataError(
            f"{where}: none of its {len(rows):,} files lies in '{files.path}':\n{listing([item.file for item in missing], 3)}\nExpected paths"
            f" below that, or bare names that are unique there, such as {files.names[0]}."
        )
    return CellList(path, found, given, further, missing)


def _weight(text: str, where: str) -> str:
    """Returns the text of a weight, 1 where there is none; a DataError if it is no number of at least 0."""
    try:
        weight = float(text or 1)
    except ValueError:
        weight = math.nan
    if not 0 <= weight < math.inf:
        raise DataError(
            f"{where}: weight {text!r}; expected a number of at least 0: 0 counts for nothing in training, 1 like every other cell."
        )
    return repr(weight)


def _finder(files: Files) -> Callable[[str], list[int]]:
    """Returns a function from what the CSV calls a file, its path or its bare name, to the numbers of the files that can be meant."""
    tables: list[dict[str, list[int]]] = [defaultdict(list) for _ in range(4)]
    for index, name in enumerate(files.names):
        bare = PurePosixPath(name).name
        for table, key in zip(tables, (name, bare, split_ending(name)[0], split_ending(bare)[0]), strict=True):
            table[key].append(index)

    def find(text: str) -> list[int]:
        # As written, then without blanks around it, then with the separators of Windows.
        written = (text, text.strip(), text.strip().replace("\\", "/"))
        return next((found for path in map(clean_name, written) for table in tables if (found := table.get(path))), [])

    return find
