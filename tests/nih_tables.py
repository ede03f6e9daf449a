"""Tables of cells that stand in the index of the NIH set."""

import numpy as np

from malaria_exp.data.cell_table import CLASS_NAMES, CellTable
from malaria_exp.data.readers.index import DIGITS, Known, read_index

OTHER = {"parasitized": "uninfected", "uninfected": "parasitized"}
FOREIGN = ("C999P999ThinF_IMG_20150918_144104_cell_1", "uninfected", "f" * 64)


class Plain:
    def read(self, index):
        return np.random.default_rng(index).integers(0, 256, (4, 4, 3), dtype=np.uint8)


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


def two_patients():
    """The files of two patients of the index, with cells of both classes."""
    chosen = [known for known in read_index().values() if known.parts.patient in ("P008", "P061")]
    assert {known.class_name for known in chosen} == set(CLASS_NAMES)
    return sorted(chosen)


def rows(known):
    return [(item.cell_id, item.class_name, content(item)) for item in known]
