"""The split manifest: which subset each cell belongs to, its hash, and the guard that keeps patients apart."""

import dataclasses
import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from malaria_exp.data.cell_table import CLASS_NAMES, POSITIVE, UNKNOWN, CellTable, count_cells
from malaria_exp.data.fingerprints import FORM
from malaria_exp.utils.atomic_files import write_csv
from malaria_exp.utils.csv_files import read_csv
from malaria_exp.utils.errors import DataError, LeakError, listing

SUBSETS = ("train", "val", "test")
EXCLUDED = "excluded"
TABLE_COLUMNS = ("cell_id", "label", "patient", "slide", "field", "content")
COLUMNS = (*TABLE_COLUMNS, "subset")
# Not in the hash, and not in every split.csv: those of earlier versions, and of shards, have none.
PIXELS = "pixels"


@dataclass(frozen=True, eq=False)
class Manifest:
    """Each cell with its subset; every column has the shape (N,), in the order of the table it was made from.

    Attributes:
        protocol: name of the split, such as "patient_holdout".
        cell_id, label, patient, slide, field, content, pixels: the table's columns; pixels may be "" or None where they are not known.
        subset: "train", "val", "test", or "excluded" (in no subset).
        details: what the split has to say of itself, for report and provenance (plain values).
        inherited_leak: whether the weights have seen validation or test cells in earlier runs.
    """

    protocol: str
    cell_id: np.ndarray
    label: np.ndarray
    patient: np.ndarray
    slide: np.ndarray
    field: np.ndarray
    content: np.ndarray
    subset: np.ndarray
    details: dict[str, Any] = dataclasses.field(default_factory=dict)
    inherited_leak: bool = False
    pixels: np.ndarray | None = None

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {int((self.subset == name).sum()):,}" for name in (*SUBSETS, EXCLUDED) if (self.subset == name).any())
        return f"Manifest({self.protocol}: {len(self.subset):,} cells, {sizes})"

    @classmethod
    def from_table(cls, protocol: str, table: CellTable, subset: np.ndarray, details: dict[str, Any] | None = None) -> "Manifest":
        """Joins the table's columns with the subset (N,) of each cell."""
        columns = {name: getattr(table, name) for name in TABLE_COLUMNS}
        manifest = cls(protocol=protocol, subset=np.asarray(subset, dtype=str), details=details or {}, pixels=table.pixels, **columns)
        manifest.check_complete()
        return manifest

    def check_complete(self) -> None:
        """Raises a DataError unless all three subsets hold cells, and train and val cells of both classes."""
        for subset in SUBSETS:
            rows = self.rows(subset)
            if not len(rows):
                raise DataError(f"split: subset '{subset}' is empty; {len(np.unique(self.patient))} patients are too few for this split.")
            present = np.unique(self.label[rows])
            if subset != "test" and len(present) < len(CLASS_NAMES):
                raise DataError(
                    f"split: subset '{subset}' holds only {CLASS_NAMES[present[0]]} cells. Choose another split.seed or other fractions."
                )

    def rows(self, subset: str) -> np.ndarray:
        """Returns the row numbers of a subset, ascending (int64)."""
        return np.flatnonzero(self.subset == subset)

    @cached_property
    def crossing_patients(self) -> dict[str, list[str]]:
        """Patients with cells in more than one subset, and those subsets.

        Cells of unknown patients may be anyone's: with any in use, UNKNOWN stands in every subset that is.
        """
        crossing = _crossing(self.patient, self.subset)
        used = np.unique(self.subset[self.subset != EXCLUDED]).tolist()
        if not self.patients_known and len(used) > 1:
            crossing[UNKNOWN] = used
        return crossing

    @property
    def patients_known(self) -> bool:
        """Whether the patient of every cell in a subset is known."""
        return UNKNOWN not in self.patient[self.subset != EXCLUDED]

    @cached_property
    def crossing_contents(self) -> dict[str, list[str]]:
        """Images that stand in more than one subset, by their pixels, or by the content of their files where pixels are not known."""
        return _crossing(self.image, self.subset)

    @property
    def image(self) -> np.ndarray:
        """What makes the image of a row the same as another's, str (N,): its pixels, or the content of its file."""
        return self.content if self.pixels is None else np.where(self.pixels == "", self.content, self.pixels)

    @property
    def leaky(self) -> bool:
        """Whether a patient or content stands in several subsets, by the cells themselves; or an earlier run has trained on held-out cells."""
        return bool(self.crossing_patients or self.crossing_contents or self.inherited_leak)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over (cell_id, label, patient, content, subset), rows sorted: equal splits of equal data are equal."""
        columns = (self.cell_id, self.label, self.patient, self.content, self.subset)
        rows = sorted(zip(*(column.tolist() for column in columns), strict=True))
        return hashlib.sha256("\n".join("\t".join(map(str, row)) for row in rows).encode()).hexdigest()

    def subset_hash(self, subset: str) -> str:
        """Returns SHA-256 over (cell_id, label, content) of a subset's cells, in any order: equal for the same cells, however the others are split."""
        rows = self.rows(subset)
        cells = sorted(zip(*(column[rows].tolist() for column in (self.cell_id, self.label, self.content)), strict=True))
        return hashlib.sha256(repr(cells).encode()).hexdigest()

    def limited(self, cells: int, seed: int) -> "Manifest":
        """Returns the split with at most so many cells in each subset, drawn at random, as many of each class as there are.

        Args:
            cells: at most so many in each subset, at least 2.
            seed: of the draw.
        """
        rng, dropped = np.random.default_rng(seed), np.zeros(len(self.subset), bool)
        for name in SUBSETS:
            rows = rng.permutation(self.rows(name))
            by_class = [rows[self.label[rows] == label] for label in range(len(CLASS_NAMES))]
            # Each class ranked by itself: the first of both, the second of both, and so on.
            rank = np.concatenate([np.arange(len(part)) for part in by_class])
            dropped[np.concatenate(by_class)[np.argsort(rank, kind="stable")[cells:]]] = True
        if not dropped.any():
            return self
        note = f"Limited: at most {cells:,} cells of each subset were used (limit_cells); the numbers say nothing about the data."
        details = {**self.details, "limit_cells": cells, "warnings": [*self.details.get("warnings", ()), note]}
        limited = dataclasses.replace(self, subset=np.where(dropped, EXCLUDED, self.subset), details=details)
        limited.check_complete()
        return limited

    def counts(self) -> dict[str, dict[str, int]]:
        """Returns for each subset the cells, classes, patients, and infected and healthy patients."""
        infected = self.patient[self.label == POSITIVE]
        of_subset = {subset: self.rows(subset) for subset in SUBSETS}
        return {subset: count_cells(self.label[rows], self.patient[rows], infected) for subset, rows in of_subset.items()}

    def write(self, path: Path) -> None:
        """Writes split.csv: a header, then a row a cell, labels by name."""
        names = np.array(CLASS_NAMES)[self.label]
        known: dict[str, np.ndarray] = {"label": names, PIXELS: np.full(len(names), "") if self.pixels is None else self.pixels}
        header = (*TABLE_COLUMNS, PIXELS, "subset")
        columns = [known[name] if name in known else getattr(self, name) for name in header]
        write_csv(path, header, zip(*(column.tolist() for column in columns), strict=True))

    @classmethod
    def read(cls, path: Path, protocol: str) -> "Manifest":
        """Reads a split.csv that `write` wrote, also before it wrote pixels; a damaged one is a DataError."""
        rows = [row for _, row in read_csv(path, COLUMNS)]
        if not rows:
            raise DataError(f"{path}: holds no cells.")
        columns: dict[str, Any] = {name: np.array([row[name] for row in rows]) for name in COLUMNS if name != "label"}
        columns[PIXELS] = np.array([row.get(PIXELS, "") for row in rows])
        if not all(map(re.compile(f"(?:{FORM})?").fullmatch, columns[PIXELS].tolist())):
            raise DataError(f"{path}: what stands in its column {PIXELS} are no fingerprints of images.")
        unknown = sorted({row["label"] for row in rows} - set(CLASS_NAMES))
        if unknown:
            raise DataError(f"{path}: unknown label {unknown[0]!r}; expected one of {', '.join(CLASS_NAMES)}.")
        other = sorted({row["subset"] for row in rows} - {*SUBSETS, EXCLUDED})
        if other:
            raise DataError(f"{path}: unknown subset {other[0]!r}; expected one of {', '.join((*SUBSETS, EXCLUDED))}.")
        label = np.array([CLASS_NAMES.index(row["label"]) for row in rows], dtype=np.int8)
        return cls(protocol=protocol, label=label, **columns)


def guard_against_leaks(manifest: Manifest, *, patients_may_cross: bool, allow_leak: bool) -> None:
    """Raises a LeakError if a patient or a content stands in two subsets.

    Args:
        manifest: the split.
        patients_may_cross: true only for the protocol whose name says that it is leaky.
        allow_leak: the user's `allow_leak=true`; the run goes on, and everything it writes is stamped LEAKY.
    """
    if allow_leak:
        return
    problems = []
    if manifest.crossing_patients and not patients_may_cross:
        problems.append((f"{len(manifest.crossing_patients)} patients", manifest.crossing_patients))
    if manifest.crossing_contents:
        name_of = dict(zip(manifest.image.tolist(), manifest.cell_id.tolist(), strict=True))
        problems.append(
            (
                f"{len(manifest.crossing_contents)} images",
                {name_of[image]: where for image, where in manifest.crossing_contents.items()},
            )
        )
    if problems:
        text = ""
        for what, found in problems:
            rows = [f"{'cells of unknown patients' if name == UNKNOWN else name}: {', '.join(where)}" for name, where in found.items()]
            text += f"{what} stand in more than one subset:\n{listing(rows)}\n"
        raise LeakError(
            f"split '{manifest.protocol}' leaks: {text}Mend the split, or set allow_leak=true: every result is then stamped LEAKY."
        )


def _crossing(values: np.ndarray, subset: np.ndarray) -> dict[str, list[str]]:
    kept = subset != EXCLUDED
    pairs = np.unique(np.stack([values[kept].astype(str), subset[kept].astype(str)]), axis=1)
    found, counts = np.unique(pairs[0], return_counts=True)
    return {value: pairs[1][pairs[0] == value].tolist() for value in found[counts > 1].tolist()}
