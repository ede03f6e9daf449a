"""What is known of a cell without looking at it: size of its file and image, its number, and where on the slide it was photographed.

A model that is good because of such traces has learned how the data were made, not what a parasite looks like (Geirhos et al. 2020,
https://doi.org/10.1038/s42256-020-00257-z).
"""

import struct
from typing import NamedTuple

import numpy as np

from malaria_exp.data.cell_table import CellTable, ImageSource, SomeOf
from malaria_exp.data.readers.files import HEAD, FileSource
from malaria_exp.data.readers.names import cell_number

PNG = b"\x89PNG\r\n\x1a\n"
NAMES = ("file size", "image height", "image width", "image area", "bytes per pixel", "cell number", "position in the slide")


class ShortcutFeatures(NamedTuple):
    """Features of N cells that are no pixels.

    Attributes:
        names: of the columns, in words.
        values: float64 (N, F), nan where one is not known; no column without any.
        reason: why there are none; empty with some.
    """

    names: tuple[str, ...]
    values: np.ndarray
    reason: str


def shortcut_features(table: CellTable) -> ShortcutFeatures:
    """Returns the features of all cells of a table; none of cells that do not come from files of their own."""
    source: ImageSource = table.source
    rows = np.arange(len(table))
    while isinstance(source, SomeOf):
        rows = source.rows[rows]
        source = source.source
    if not isinstance(source, FileSource) or not source.files.heads:
        return ShortcutFeatures((), np.empty((len(table), 0)), f"the cells of '{table.name}' are not in files of their own")
    sizes = np.array([_sizes(*source.files.heads[index]) for index in source.indices[rows].tolist()])
    file, height, width = sizes.T
    # None becomes nan.
    number = np.array([cell_number(name) for name in table.cell_id.tolist()], np.float64)
    columns = np.stack([file, height, width, height * width, file / (height * width), number, _positions(table)], axis=1)
    known = np.isfinite(columns).any(axis=0)
    return ShortcutFeatures(tuple(name for name, kept in zip(NAMES, known, strict=True) if kept), columns[:, known], "")


def _sizes(size: int, head: bytes) -> tuple[float, float, float]:
    """Returns a file's bytes and its image's height and width, which are nan of other formats than PNG."""
    if len(head) < HEAD or not head.startswith(PNG):
        return size, np.nan, np.nan
    width, height = struct.unpack(">II", head[16:24])
    return size, height or np.nan, width or np.nan


def _positions(table: CellTable) -> np.ndarray:
    """Returns where each cell's field of view stands among those of its slide, from 0 to 1 by name, which holds the time; nan of single fields."""
    fields: dict[str, set[str]] = {}
    for slide, field in zip(table.slide.tolist(), table.field.tolist(), strict=True):
        fields.setdefault(slide, set()).add(field)
    place = {
        (slide, field): number / (len(found) - 1) if len(found) > 1 else np.nan
        for slide, found in fields.items()
        for number, field in enumerate(sorted(found))
    }
    return np.array([place[pair] for pair in zip(table.slide.tolist(), table.field.tolist(), strict=True)])
