"""The page with each slide's fields of view: fields.html, beside the report. It loads nothing.

Names of the NIH set tell slide, photograph and number of a cell, and nothing of where in the photograph it was: docs/fields-of-view.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from malaria_exp.data.readers.names import cell_number, parse_name
from malaria_exp.data.subsets import Cells
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.reports.page_elements import jpeg_source
from malaria_exp.evaluation.reports.templates import template
from malaria_exp.utils.atomic_files import write_text

PAGE = "fields.html"
# Cells that are drawn at most, slides with the most errors first; and pictures of errors.
MOST_CELLS, MOST_PICTURES = 20_000, 600
SHUFFLES = 500


@dataclass(frozen=True, eq=False)
class Places:
    """What the names say of cells; every column has the shape (N,).

    Attributes:
        slide: str.
        field: str, the photograph; within a slide its names sort by time.
        number: int64, of the cell in its photograph.
    """

    slide: np.ndarray
    field: np.ndarray
    number: np.ndarray

    @classmethod
    def read(cls, cell_id: np.ndarray) -> "Places | None":
        """Returns what names of the NIH grammar say, also below folders; None if any of them follows another."""
        names = [name.rpartition("/")[2] for name in cell_id.tolist()]
        parts, numbers = [parse_name(name) for name in names], [cell_number(name) for name in names]
        if None in parts or None in numbers:
            return None
        return cls(np.array([part.slide for part in parts if part]), np.array([part.field for part in parts if part]), np.array(numbers))


def error_clusters(error: np.ndarray, places: Places, seed: int = 0) -> tuple[float, float] | None:
    """Tells whether errors of a slide come together in some of its photographs.

    The statistic is the sum over photographs of (errors - expected)^2, where the slide's error rate is expected in each; errors are dealt
    anew to the cells of their slide to see how large it is by chance.

    Args:
        error: bool (N,).
        places: of the cells.
        seed: of the deals.

    Returns:
        The statistic over its mean by chance, and the fraction of deals that reach it; None where no slide has errors and several
        photographs.
    """
    fields, field = np.unique(places.field, return_inverse=True)
    slides, slide = np.unique(places.slide, return_inverse=True)
    rate = (np.bincount(slide, error) / np.bincount(slide))[slide]
    expected = np.bincount(field, rate)

    def statistic(one: np.ndarray) -> float:
        return float(np.square(np.bincount(field, one, len(fields)) - expected).sum())

    order, draw = np.argsort(slide, kind="stable"), np.random.default_rng(seed)
    dealt = np.empty(SHUFFLES)
    for number in range(SHUFFLES):
        mixed = np.empty(len(error))
        # Sorted by slide and then by chance: the cells of each slide are mixed among themselves.
        mixed[order] = error[np.lexsort((draw.random(len(error)), slide))]
        dealt[number] = statistic(mixed)
    if not dealt.mean() or len(fields) == len(slides):
        return None
    found = statistic(error)
    return float(found / dealt.mean()), float((1 + np.sum(dealt >= found * (1 - 1e-9))) / (1 + SHUFFLES))


def write_field_cells(
    folder: Path,
    shown: Predictions,
    threshold: np.ndarray | float,
    first: str,
    *,
    cells: Cells | None,
    patient_links: Mapping[str, str],
    subject: str,
    leaky: bool,
) -> bool:
    """Writes fields.html: of each slide its photographs in the order of time, in each its cells in the order of their numbers.

    Args:
        folder: that it is written to.
        shown: the scored cells of one subset.
        threshold: at which they are predicted, of all cells or of each, (N,).
        first: its name.
        cells: their images, in the same order, for pictures of errors; None where they are not at hand.
        patient_links: where a patient's cells are shown, by patient.
        subject: which model on which data.
        leaky: stamps the page.

    Returns:
        Whether it was written: not where names do not tell the photographs.
    """
    places = Places.read(shown.cell_id)
    if places is None:
        return False
    positive = shown.label == 1
    error = (shown.score >= threshold) != positive
    names, slide = np.unique(places.slide, return_inverse=True)
    errors = np.bincount(slide, error).astype(int)
    left, pictures, sections = MOST_CELLS, MOST_PICTURES, []
    for number in np.lexsort((names, -errors)).tolist():
        own = np.flatnonzero(slide == number)
        if left < len(own):
            break
        left -= len(own)
        rows = []
        for field in np.unique(places.field[own]).tolist():
            inside = own[places.field[own] == field]
            inside = inside[np.argsort(places.number[inside], kind="stable")]
            wrong = inside[error[inside]][: pictures if cells else 0]
            pictures -= len(wrong)
            sources = [jpeg_source(image) for image in cells.pixel_cache.take(cells.rows[wrong])] if cells and len(wrong) else []
            rows.append(
                {
                    "time": _time(field),
                    "last": int(places.number[inside].max()),
                    "parasitized": int(positive[inside].sum()),
                    "errors": int(error[inside].sum()),
                    "cells": [_tile(shown, places, row, bool(error[row])) for row in inside.tolist()],
                    "pictures": [(source, _words(shown, places, row)) for source, row in zip(sources, wrong.tolist(), strict=True)],
                }
            )
        patient = str(shown.patient[own[0]])
        sections.append(
            {
                "slide": names[number],
                "patient": patient,
                "link": patient_links.get(patient),
                "fields": rows,
                "errors": int(errors[number]),
                "cells": len(own),
            }
        )
    same = ", each run's own" if isinstance(threshold, np.ndarray) else f" = {threshold:.3g}"
    page = template("field_cells.html.j2").render(
        title=f"{subject}: fields of view",
        subtitle=f"{len(names):,} slides, {len(np.unique(places.field)):,} photographs, at the threshold {first}{same}",
        leaky=leaky,
        pictures=cells is not None,
        sections=sections,
        without=len(names) - len(sections),
        clusters=error_clusters(error, places),
    )
    write_text(folder / PAGE, page)
    return True


def _tile(shown: Predictions, places: Places, row: int, error: bool) -> tuple[str, int, str]:
    """Returns the class of a cell's tile, its score in percent, and the words under the pointer."""
    kind = ("missed" if shown.label[row] == 1 else "alarm") if error else ("found" if shown.label[row] == 1 else "cleared")
    return kind, round(100 * float(shown.score[row])), _words(shown, places, row)


def _words(shown: Predictions, places: Places, row: int) -> str:
    return f"cell {places.number[row]}, labeled {'parasitized' if shown.label[row] == 1 else 'uninfected'}, score {shown.score[row]:.3f}"


def _time(field: str) -> str:
    """Returns "2015-09-18 14:41:04" of a photograph's name."""
    date, _, time = field.rpartition("_IMG_")[2].partition("_")
    return f"{date[:4]}-{date[4:6]}-{date[6:]} {time[:2]}:{time[2:4]}:{time[4:6]}"
