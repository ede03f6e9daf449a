"""Ways to divide cells into groups, from what is known of them: names, slides, patients and labels."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from malaria_exp.data.readers.names import Capture, parse_capture
from malaria_exp.evaluation.predictions import Predictions

# The cell stands in no group of this grouping.
NONE = ""
# What names of groupings by columns of the user begin with.
COLUMN = "column:"
# More groups than this are a table that nobody reads: those with the fewest cells become one.
MOST_GROUPS, OTHERS = 16, "all others"
# Of parasitized cells of a patient among those of the data: upper ends of the groups.
PARASITES = (5, 20, 60)


@dataclass(frozen=True, eq=False)
class Grouping:
    """Cells in groups.

    Attributes:
        name: its key in metrics.json.
        title: in words.
        groups: names of the groups in the order they are shown.
        of_cell: str (N,), the group of each cell; NONE for those that are in none.
    """

    name: str
    title: str
    groups: tuple[str, ...]
    of_cell: np.ndarray


def groupings(cells: Predictions, columns: Mapping[str, np.ndarray] | None = None) -> list[Grouping]:
    """Returns the groupings that have at least two groups.

    Month and kind of slide are read from names of the NIH form, the clinic from patients such as "clinic_b/12". A slide is a group of its own only
    where its patient has several; otherwise it is the patient.

    Args:
        cells: of one subset, with known patients.
        columns: str (N,), by name; each is a grouping by its values, before all others.
    """
    captures = [parse_capture(name.rpartition("/")[2]) for name in cells.cell_id.tolist()]
    patients = cells.patient.tolist()
    found = [
        *(_sorted(f"{COLUMN}{name}", f"Column {name}", column, _in_order(column)) for name, column in (columns or {}).items()),
        _sorted("infected", "Infected and healthy patients", *_health(cells)),
        _sorted("parasites", "Infected, by parasitized cells", *_parasites(cells)),
        _sorted("month", "Month of the photograph", _known(captures, 0)),
        _sorted("kind", "Kind of slide, by its name", _known(captures, 1)),
        _sorted("clinic", "Clinic", np.array([name.rpartition("/")[0] for name in patients])),
        _sorted("slide", "Slides of one patient", _slides(cells)),
    ]
    return [one for one in found if len(one.groups) > 1]


def _sorted(name: str, title: str, of_cell: np.ndarray, order: tuple[str, ...] = ()) -> Grouping:
    present, counts = np.unique(of_cell[of_cell != NONE], return_counts=True)
    if len(present) > MOST_GROUPS:
        few = present[np.argsort(-counts, kind="stable")][MOST_GROUPS - 1 :]
        of_cell = np.where(np.isin(of_cell, few), OTHERS, of_cell)
        order = (*sorted(set(present.tolist()) - set(few.tolist())), OTHERS)
    groups = tuple(group for group in order if group in of_cell) or tuple(present.tolist())
    return Grouping(name, title, groups, of_cell)


def _in_order(column: np.ndarray) -> tuple[str, ...]:
    """Returns the values as a reader sorts them: "5 to 14" before "15 to 40"."""
    return tuple(sorted(set(column.tolist()), key=lambda value: re.sub(r"\d+", lambda number: number[0].zfill(9), value)))


def _known(captures: list[Capture | None], place: int) -> np.ndarray:
    if not any(captures):
        return np.full(len(captures), NONE)
    return np.array([one[place] if one else "not known" for one in captures])


def _health(cells: Predictions) -> tuple[np.ndarray, tuple[str, ...]]:
    infected = np.isin(cells.patient, cells.patient[cells.label == 1])
    return np.where(infected, "infected", "healthy"), ("infected", "healthy")


def _parasites(cells: Predictions) -> tuple[np.ndarray, tuple[str, ...]]:
    """Groups infected patients by how many of their cells in the data are parasitized."""
    starts = (1, *(end + 1 for end in PARASITES))
    words = (*(f"{start} to {end}" for start, end in zip(starts, PARASITES, strict=False)), f"over {PARASITES[-1]}")
    _, number = np.unique(cells.patient, return_inverse=True)
    parasites = np.bincount(number, cells.label == 1)[number]
    group = np.array(words)[np.searchsorted(PARASITES, parasites)]
    return np.where(parasites > 0, group, NONE), words


def _slides(cells: Predictions) -> np.ndarray:
    pairs = np.unique(np.stack([cells.patient, cells.slide]), axis=1)
    names, counts = np.unique(pairs[0], return_counts=True)
    return np.where(np.isin(cells.patient, names[counts > 1]), cells.slide, NONE)
