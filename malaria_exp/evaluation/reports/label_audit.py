"""The page of an audit of labels: the cells that contradict their label most, beside the cells of both classes that are most like them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from malaria_exp.data.cell_table import CLASS_NAMES, UNKNOWN, CellTable, rows_by_patient
from malaria_exp.data.pixel_cache import PixelCache
from malaria_exp.evaluation.label_audit import LabelAudit
from malaria_exp.evaluation.reports.page_elements import jpeg_source
from malaria_exp.evaluation.reports.templates import template
from malaria_exp.utils.atomic_files import write_text

PAGE = "audit.html"
# Rows of the table of patients.
MOST_PATIENTS = 10


class Neighbors(NamedTuple):
    """Rows of the table that are most like a cell: of its label, and of the other."""

    same: np.ndarray
    other: np.ndarray


@dataclass(frozen=True, eq=False)
class AuditPage:
    """What the page shows.

    Attributes:
        table: the data.
        rows: int64 (N,), of the audited cells.
        audit: of these cells.
        pixel_cache: the decoded images of the table.
        neighbors: of an audited cell, by its number.
    """

    table: CellTable
    rows: np.ndarray
    audit: LabelAudit
    pixel_cache: PixelCache
    neighbors: Callable[[int], Neighbors]

    def write(self, folder: Path, *, shown: int, notes: Sequence[str], subtitle: str, files: bool) -> None:
        """Writes audit.html.

        Args:
            folder: that it is written to.
            shown: cells of each class.
            notes: sentences of caution.
            subtitle: which models.
            files: whether there are lists for `dataset.csv`.
        """
        label, contradicted = self.audit.label, self.audit.contradicted
        counts = [int((contradicted & (label == own)).sum()) for own in (0, 1)]
        tiles = [
            ("Cells", f"{len(self.rows):,}", f"of {len(np.unique(self.table.patient[self.rows])):,} patients"),
            ("Contradicted labels", f"{contradicted.sum():,}", f"{contradicted.mean():.2%} of them"),
            *((f"Labeled {CLASS_NAMES[own]}", f"{counts[own]:,}", f"of {(label == own).sum():,}") for own in (1, 0)),
        ]
        order = self.audit.order
        chapters = [
            (CLASS_NAMES[own], CLASS_NAMES[1 - own], [self._entry(cell) for cell in order[label[order] == own][:shown]]) for own in (1, 0)
        ]
        page = template("label_audit.html.j2").render(
            title=f"Labels of {self.table.name} that models contradict",
            subtitle=subtitle,
            leaky=False,
            tiles=tiles,
            notes=notes,
            chapters=chapters,
            patients=self._patients(),
            files=files,
        )
        write_text(folder / PAGE, page)

    def _entry(self, cell: int) -> dict[str, object]:
        """Returns a cell with its neighbors, for the template."""
        row = int(self.rows[cell])
        same, other = self.neighbors(cell)
        return {
            "name": str(self.table.cell_id[row]),
            "patient": str(self.table.patient[row]),
            "right": float(self.audit.right[cell]),
            "contradicted": bool(self.audit.contradicted[cell]),
            "image": self._pictures([row])[0],
            "same": self._pictures(same),
            "other": self._pictures(other),
        }

    def _pictures(self, rows: Sequence[int] | np.ndarray) -> list[tuple[str, str]]:
        """Returns pictures as data URLs, with the cells' names."""
        index = np.asarray(rows, np.int64)
        names = self.table.cell_id[index].tolist()
        return [(jpeg_source(image), name) for image, name in zip(self.pixel_cache.take(index), names, strict=True)]

    def _patients(self) -> list[tuple[str, int, int, int]]:
        """Returns the patients with the most contradicted labels: name, cells, and contradicted ones labeled parasitized and uninfected."""
        found = self.audit.contradicted
        positive, negative = found & (self.audit.label == 1), found & (self.audit.label == 0)
        rows = [
            (name, len(cells), int(positive[cells].sum()), int(negative[cells].sum()))
            for name, cells in rows_by_patient(self.table.patient[self.rows])
            if name != UNKNOWN
        ]
        return sorted((row for row in rows if row[2] + row[3]), key=lambda row: -(row[2] + row[3]))[:MOST_PATIENTS]
