"""A given split, read from a CSV."""

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from malaria_exp.config.registry import early_check, register
from malaria_exp.config.validation import Pattern
from malaria_exp.data.cell_table import CellTable
from malaria_exp.data.readers.files import split_ending
from malaria_exp.data.split_manifest import EXCLUDED, SUBSETS, Manifest
from malaria_exp.utils.csv_files import read_csv
from malaria_exp.utils.errors import DataError, did_you_mean, listing

ALIASES = {"training": "train", "validation": "val", "valid": "val", "dev": "val", "testing": "test"}


def read_subsets(*, path: str, **_: Any) -> tuple[str, dict[str, str]]:
    """Returns which column names the entries, cell_id or patient, and the subset of each; raises a DataError if the CSV is malformed."""
    rows = read_csv(Path(path).expanduser(), ("subset",))
    key = next((name for name in ("cell_id", "patient") if rows and name in rows[0][1]), None)
    if key is None:
        raise DataError(f"{path}: expected a column cell_id or patient and at least one row.")
    subset_of: dict[str, str] = {}
    for number, row in rows:
        name = row[key].removesuffix(".png")
        given = ALIASES.get(row["subset"].strip().lower(), row["subset"].strip().lower())
        if given not in (*SUBSETS, EXCLUDED):
            raise DataError(
                f"{path}, line {number}: subset {row['subset']!r}; expected one of {', '.join((*SUBSETS, EXCLUDED))}.{did_you_mean(given, SUBSETS)}"
            )
        if subset_of.setdefault(name, given) != given:
            raise DataError(f"{path}, line {number}: {key} {name} was given the subset {subset_of[name]} before and {given} here.")
    return key, subset_of


@register("split", "by_manifest")
@early_check(read_subsets)
def by_manifest(
    table: CellTable,
    /,
    *,
    path: Annotated[str, Pattern(r".+", "the path of a CSV with the columns subset and cell_id (or patient)")],
    unlisted: Literal["error", "exclude"] = "error",
) -> Manifest:
    """Takes the subsets from a CSV, such as another run's split.csv.

    Args:
        path: a CSV with a header, a column `subset` (train, val, test or excluded) and a column `cell_id` or `patient`.
        unlisted: what to do with cells of the dataset that the CSV does not list: error stops, exclude uses the others.

    Raises:
        DataError: the CSV is malformed, gives a cell or patient two subsets, names one that the dataset does not have (and that was not
            excluded as a bad image), or does not list all cells while unlisted=error.
    """
    key, subset_of = read_subsets(path=path)
    column = getattr(table, key)
    # A list that was made of all files names those too that were excluded as bad.
    bad = [split_ending(item.file)[0] for item in table.bad] if key == "cell_id" else []
    absent = sorted(name for name in set(subset_of) - set(column.tolist()) if not any(f"/{file}".endswith(f"/{name}") for file in bad))
    if absent:
        raise DataError(f"{path}: {len(absent)} of {len(subset_of)} entries are not in dataset '{table.name}':\n{listing(absent)}")
    excluded = sorted(set(column.tolist()) - set(subset_of))
    if excluded and unlisted == "error":
        raise DataError(
            f"{path}: {len(excluded)} of the dataset's {key} entries are not listed:\n{listing(excluded)}\nList them, or leave them out with split.unlisted=exclude."
        )
    subset = np.array([subset_of.get(name, EXCLUDED) for name in column.tolist()])
    return Manifest.from_table("by_manifest", table, subset, {"path": str(path), "excluded_cells": int((subset == EXCLUDED).sum())})
