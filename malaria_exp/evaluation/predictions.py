"""Predictions: the score of each cell, which is all that evaluation needs of a run.

predictions.csv has the columns cell_id, patient, slide, label, score, subset. Scores are written so that reading them gives
the same float64 again: metrics computed later from the file equal those of the run.
"""

import csv
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from malaria_exp.data.cell_table import POSITIVE
from malaria_exp.utils.atomic_files import write_text
from malaria_exp.utils.csv_files import read_csv, to_cell
from malaria_exp.utils.errors import DataError, did_you_mean

# No training cells: a score on them says nothing about a new patient.
SUBSETS = ("val", "test", "external")
COLUMNS = ("cell_id", "patient", "slide", "label", "score", "subset")


@dataclass(frozen=True, eq=False)
class Predictions:
    """The scores of cells, one row a cell; every column has the shape (N,).

    Attributes:
        cell_id: name of the cell (str), unique within its subset.
        patient: the patient the cell comes from (str); the unit of every interval.
        slide: the slide (str).
        label: int8, 1 = parasitized, 0 = uninfected.
        score: float64, probability of parasitized, in [0, 1].
        subset: "val", "test" or "external" (str).

    Raises:
        DataError: columns of different lengths, no row, a label other than 0 and 1, a score that is not a number in [0, 1],
            an unknown subset, or a duplicate cell in one subset.
    """

    cell_id: np.ndarray
    patient: np.ndarray
    slide: np.ndarray
    label: np.ndarray
    score: np.ndarray
    subset: np.ndarray

    def __post_init__(self) -> None:
        for name in ("cell_id", "patient", "slide", "subset"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=str))
        label, score = np.asarray(self.label), np.asarray(self.score, dtype=np.float64)
        shapes = {f.name: np.shape(getattr(self, f.name)) for f in fields(self)}
        if len(set(shapes.values())) != 1 or score.ndim != 1:
            raise DataError(f"Predictions: expected columns of one shape (N,). Received: {shapes}")
        if not len(score):
            raise DataError("Predictions: expected at least one cell. Received: none")
        if not np.isin(label, (0, 1)).all():
            raise DataError(f"Predictions: expected labels 0 and 1 (1 = parasitized). Received: {np.unique(label)[:10].tolist()}")
        bad = ~np.isfinite(score)
        if bad.any():
            raise DataError(
                f"Predictions: the score of {int(bad.sum())} of {len(bad)} cells is not a finite number, "
                f"first of cell '{self.cell_id[bad][0]}'. The model has diverged; a lower learning rate or gradient clipping helps."
            )
        if ((score < 0) | (score > 1)).any():
            raise DataError(
                "Predictions: expected scores in [0, 1], the probability of parasitized. "
                f"Received: {score.min()!s} to {score.max()!s}. Logits need a sigmoid first."
            )
        for name in np.unique(self.subset).tolist():
            if name not in SUBSETS:
                raise DataError(f"Predictions: unknown subset '{name}'.{did_you_mean(name, SUBSETS)} Allowed: {', '.join(SUBSETS)}.")
        for name in SUBSETS:
            ids, counts = np.unique(self.cell_id[self.subset == name], return_counts=True)
            if (counts > 1).any():
                raise DataError(f"Predictions: {int((counts > 1).sum())} cells stand twice in '{name}', first '{ids[counts > 1][0]}'.")
        object.__setattr__(self, "label", label.astype(np.int8))
        object.__setattr__(self, "score", score)

    def __repr__(self) -> str:
        return f"Predictions({len(self):,} cells of {len(np.unique(self.patient)):,} patients: {', '.join(self.subsets)})"

    def __len__(self) -> int:
        return len(self.score)

    @property
    def subsets(self) -> tuple[str, ...]:
        """The subsets that hold cells, in the order val, test, external."""
        return tuple(name for name in SUBSETS if (self.subset == name).any())

    def select(self, subset: str) -> "Predictions":
        """Returns the rows of one subset, in their order.

        Raises:
            DataError: no cell is in that subset.
        """
        if subset not in self.subsets:
            raise DataError(f"Predictions: no cell is in the subset '{subset}'. Present: {', '.join(self.subsets)}.")
        return self.at(self.subset == subset)

    def at(self, rows: np.ndarray) -> "Predictions":
        """Returns the rows of a mask or of row numbers."""
        return Predictions(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def write(self, path: str | os.PathLike[str], more: Mapping[str, np.ndarray] | None = None) -> Path:
        """Writes the CSV atomically; `read` gives back equal columns.

        Args:
            path: of the file.
            more: further columns, str (N,), by name; `read` ignores them.

        Returns:
            The path written.
        """
        text = io.StringIO(newline="")
        found = {name: getattr(self, name) for name in COLUMNS} | dict(more or {})
        columns = [list(map(to_cell, column.tolist())) for column in found.values()]
        # The csv module does not quote a lone "\r" inside a name, and would read it as the end of a line.
        odd = any("\r" in value for column in columns for value in column if isinstance(value, str))
        writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC if odd else csv.QUOTE_MINIMAL)
        writer.writerow(found)
        writer.writerows(zip(*columns, strict=True))  # csv writes a float by repr, the shortest text that reads back the same
        return write_text(path, text.getvalue())


def read(path: str | os.PathLike[str]) -> Predictions:
    """Reads a predictions.csv; other columns are ignored.

    Raises:
        DataError: the file is missing, is not UTF-8, lacks a column, or a line is malformed (with its number and the reason).
    """
    path = Path(path)
    rows = read_csv(path, COLUMNS)
    columns = {name: np.array([_value(name, row[name], path, line) for line, row in rows]) for name in COLUMNS}
    try:
        return Predictions(**columns)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _value(name: str, text: str, path: Path, line: int) -> str | int | float:
    if name == "label":
        if text not in ("0", "1"):
            raise DataError(f"{path}, line {line}: expected label 0 or 1 (1 = parasitized). Received: '{text}'")
        return int(text == str(POSITIVE))
    if name == "score":
        try:
            score = float(text)
        except ValueError:
            raise DataError(f"{path}, line {line}: expected a score in [0, 1]. Received: '{text}'") from None
        if not 0 <= score <= 1:
            raise DataError(f"{path}, line {line}: expected a score in [0, 1]. Received: {text}")
        return score
    if name == "subset" and text not in SUBSETS:
        raise DataError(f"{path}, line {line}: unknown subset '{text}'.{did_you_mean(text, SUBSETS)} Allowed: {', '.join(SUBSETS)}.")
    return text


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Returns 1 / (1 + exp(-logits)) without overflow."""
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1, small) / (1 + small)
