"""Reading CSV files that users may have written."""

import csv
from collections.abc import Iterable
from pathlib import Path

from malaria_exp.utils.errors import DataError, did_you_mean

# An array of texts takes for each the memory of the longest.
LONGEST = 4096


def read_csv(path: Path, needed: Iterable[str]) -> list[tuple[int, dict[str, str]]]:
    """Reads a CSV with a header that has at least the needed columns; a row of another length is a DataError with its line.

    Returns:
        The rows, each with the number of its line in the file: blank lines are skipped, but counted.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            missing = set(needed) - set(reader.fieldnames or ())
            if missing:
                raise DataError(
                    f"{path}: no column {', '.join(sorted(missing))}; its columns are {', '.join(reader.fieldnames or ()) or 'none'}."
                )
            rows = [(reader.line_num, row) for row in reader]
    except FileNotFoundError:
        near = [item.as_posix() for item in path.parent.glob("*.csv")] if path.parent.is_dir() else []
        raise DataError(f"No file '{path}'.{did_you_mean(path.as_posix(), near)}") from None
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.reader.line_num}: cannot be read as CSV: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as CSV: {error}") from None
    for number, row in rows:
        if None in row or None in row.values():
            raise DataError(f"{path}, line {number}: the number of fields differs from the header's.")
        if any(len(value) > LONGEST for value in row.values()):
            raise DataError(f"{path}, line {number}: a field has more than {LONGEST:,} characters.")
    return rows
