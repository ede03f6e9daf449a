"""What becomes of images that cannot be used: an error that lists all of them before anything is trained, or they are excluded and recorded."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np

from malaria_exp.data.cell_table import CLASS_NAMES, BadImage, CellTable
from malaria_exp.data.pixel_cache import PixelCache
from malaria_exp.data.readers.assemble import Cell, find_doubtful
from malaria_exp.utils.errors import DataError, by_reason
from malaria_exp.utils.terminal_log import log

EXCLUDED_FILE = "excluded.csv"
AnyPixelCache = TypeVar("AnyPixelCache", bound=PixelCache)


def exclude_bad_images(table: CellTable, pixel_cache: AnyPixelCache) -> tuple[CellTable, AnyPixelCache, list[BadImage]]:
    """Applies the dataset's policy to the images that could not be read or decoded, or whose pixels stand in the table more than once.

    Args:
        table: the cells, with the bad files that have no row.
        pixel_cache: the decoded images; its `bad` are rows that could not be decoded. Rows of equal pixels are found here.

    Returns:
        The table and the pixel cache without bad images, and the bad images, which the table lists as its own.

    Raises:
        DataError: there are bad images and the policy is "error", or "skip" would exclude more than its largest fraction, or all
            of a class.
    """
    unusable = {**pixel_cache.bad, **same_pixels(table)}
    bad = all_bad_images(table, unusable)
    if not bad:
        return table, pixel_cache, []
    check_policy(table, bad)
    rows = np.setdiff1d(np.arange(len(table)), np.array(sorted(unusable), dtype=np.int64))
    for number, class_name in enumerate(CLASS_NAMES):
        if number in table.label and number not in table.label[rows]:
            raise DataError(f"dataset '{table.name}': none of the images of the class {class_name} can be used.\n{_lines(bad)}")
    log.warning(f"excluded  {describe(bad, total_images(table))}, listed in {EXCLUDED_FILE}")
    if len(rows) == len(table):
        return table, pixel_cache, bad
    return replace(table.select(rows), bad=tuple(bad)), pixel_cache.select(rows), bad


def same_pixels(table: CellTable) -> dict[int, str]:
    """Returns the rows whose pixels stand in the table more than once, in files that differ, with the reason; see `find_doubtful`."""
    if table.pixels is None or table.file is None:
        return {}
    _, inverse, counts = np.unique(table.pixels, return_inverse=True, return_counts=True)
    rows = np.flatnonzero((counts[inverse.reshape(-1)] > 1) & (table.pixels != "")).tolist()
    cells = [
        Cell(
            row,
            CLASS_NAMES[table.label[row]],
            str(table.cell_id[row]),
            str(table.patient[row]),
            str(table.slide[row]),
            str(table.field[row]),
        )
        for row in rows
    ]
    return find_doubtful({row: str(table.file[row]) for row in rows}, cells, {row: str(table.pixels[row]) for row in rows})


def all_bad_images(table: CellTable, undecodable: Mapping[int, str]) -> list[BadImage]:
    """Returns the bad files of a table and those of its rows (with reasons) that could not be decoded, sorted by file."""
    names = table.cell_id if table.file is None else table.file
    return sorted([*table.bad, *(BadImage(str(names[row]), reason) for row, reason in undecodable.items())])


def check_policy(table: CellTable, bad: list[BadImage]) -> None:
    """Raises a DataError with the whole list, unless the policy is to exclude these bad images."""
    if not bad:
        return
    if table.policy.on_bad_image == "error":
        raise DataError(
            f"dataset '{table.name}': {len(bad):,} bad images:\n{_lines(bad)}\nNothing was trained. Mend or remove these files, then start again; or go on"
            " without them, on the record: dataset.on_bad_image=skip"
        )
    fraction = len(bad) / total_images(table)
    if fraction > table.policy.max_bad_fraction:
        raise DataError(
            f"dataset '{table.name}': {describe(bad, total_images(table))} are bad; dataset.on_bad_image=skip excludes at most"
            f" dataset.max_bad_fraction={table.policy.max_bad_fraction:g} of the images. What is wrong with so many?\n{_lines(bad)}"
        )


def _lines(bad: list[BadImage]) -> str:
    return "\n".join(f"  {line}" for line in by_reason(bad))


def total_images(table: CellTable) -> int:
    """Returns the number of images a dataset offered, those without a row included; call it before any is excluded."""
    return len(table) + len(table.bad)


def describe(bad: list[BadImage], total: int) -> str:
    """Returns how many of all images are bad: "3 of 1,200 images (0.25 %)"."""
    return f"{len(bad):,} of {total:,} images ({100 * len(bad) / total:.3g} %)"
