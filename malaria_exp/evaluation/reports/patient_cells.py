"""The page with each patient's cells: patients.html, beside the report, whose tables lead to it. It loads nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from malaria_exp.data.cell_table import rows_by_patient
from malaria_exp.data.subsets import Cells
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.reports.page_elements import jpeg_source
from malaria_exp.evaluation.reports.templates import template
from malaria_exp.utils.atomic_files import write_text

PAGE = "patients.html"
# Of a patient at most so many cells are shown, and fewer of each where there are many patients, to keep the page at a few megabytes.
MOST_CELLS, FEWEST_CELLS, ALL_CELLS = 60, 8, 3000


@dataclass(frozen=True)
class CellGroup:
    """Cells of a patient that were predicted alike: a title, how many there are, and of those shown (data URL, score, name)."""

    title: str
    cells: int
    shown: list[tuple[str, float, str]]


def anchor(patient: str) -> str:
    """Returns the id of a patient's section, which is also the part of its address after "#"."""
    return f"patient-{quote(patient, safe='')}"


def patient_links(patients: Iterable[str], page: str = PAGE) -> dict[str, str]:
    """Returns the address of each patient's section of a page, by patient."""
    return {patient: f"{page}#{anchor(patient)}" for patient in patients}


def write_patient_cells(
    folder: Path, shown: Predictions, cells: Cells, part: Mapping[str, Any], first: str, *, subject: str, leaky: bool, fields: bool = False
) -> None:
    """Writes patients.html: of each patient the errors, the worst first, and cells between the surest and the least sure.

    Args:
        folder: that it is written to.
        shown: the scored cells of one subset.
        cells: their images, in the same order.
        part: of metrics.json, of that subset.
        first: the threshold, by name, at which they are predicted.
        subject: which model on which data.
        leaky: stamps the page.
        fields: whether fields.html stands beside it.
    """
    threshold = part["at"][first]["threshold"]
    most = int(np.clip(ALL_CELLS // len(part["per_patient"]), FEWEST_CELLS, MOST_CELLS))
    fractions = (part["patient_level"] or {}).get("fractions") or [None] * len(part["per_patient"])
    rows_of, sections = dict(rows_by_patient(shown.patient)), []
    for row, fraction in zip(part["per_patient"], fractions, strict=True):
        own = rows_of[row["patient"]]
        groups = _groups(shown.label[own] == 1, shown.score[own], threshold, most)
        sections.append(
            {
                "row": row,
                "at": row["at"][first],
                "fraction": fraction,
                "anchor": anchor(row["patient"]),
                "groups": [CellGroup(title, number, _pictures(shown, cells, own[chosen])) for title, number, chosen in groups],
            }
        )
    page = template("patient_cells.html.j2").render(
        title=f"{subject}: patients one by one",
        subtitle=f"{len(sections):,} patients, at the threshold {first} = {threshold:.3g}",
        leaky=leaky,
        sections=sections,
        fields=fields,
    )
    write_text(folder / PAGE, page)


def _groups(parasitized: np.ndarray, scores: np.ndarray, threshold: float, most: int) -> list[tuple[str, int, np.ndarray]]:
    """Returns (title, number of cells, rows of those to show) of missed cells, false alarms, found and cleared cells."""
    predicted = scores >= threshold
    found, left = [], most
    for title, kind, order, error in (
        ("Missed: labeled parasitized, predicted uninfected; the worst first", parasitized & ~predicted, 1, True),
        ("False alarms: labeled uninfected, predicted parasitized; the worst first", ~parasitized & predicted, -1, True),
        ("Found: parasitized, from the least sure to the surest", parasitized & predicted, 1, False),
        ("Cleared: uninfected, from the least sure to the surest", ~parasitized & ~predicted, -1, False),
    ):
        rows = np.flatnonzero(kind)
        rows = rows[np.argsort(order * scores[rows], kind="stable")]
        number = min(len(rows), left // 2)
        chosen = rows[:number] if error else rows[np.linspace(0, len(rows) - 1, number).astype(int)]
        left -= number
        if len(rows):
            found.append((title, len(rows), chosen))
    return found


def _pictures(shown: Predictions, cells: Cells, rows: np.ndarray) -> list[tuple[str, float, str]]:
    images = cells.pixel_cache.take(cells.rows[rows])
    return [(jpeg_source(image), float(shown.score[row]), str(shown.cell_id[row])) for image, row in zip(images, rows, strict=True)]
