"""CellTable, the form in which every dataset gives its data: one row a cell."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from malaria_exp.utils.errors import DataError, listing

# The position is the label: everywhere in this project 1 means parasitized.
CLASS_NAMES = ("uninfected", "parasitized")
POSITIVE = CLASS_NAMES.index("parasitized")
# The patient of cells whose patient is not known: one name for all of them, so that they never count as several patients.
UNKNOWN = "unknown"

OnBadImage = Literal["error", "skip"]


class BadImageError(Exception):
    """One image cannot be used; the text is the reason, without the file's name."""


class BadImage(NamedTuple):
    """A file that cannot be used, with the reason."""

    file: str
    reason: str


class BadImagePolicy(NamedTuple):
    """What becomes of a dataset with bad images.

    Attributes:
        on_bad_image: "error" stops before any training, with the whole list; "skip" goes on without them, on the record.
        max_bad_fraction: fraction of the images, in [0, 1], that "skip" may exclude at most.
    """

    on_bad_image: OnBadImage = "error"
    max_bad_fraction: float = 0.01


STOP = BadImagePolicy()


class ImageSource(Protocol):
    """Where a table's pixels come from. `read` must be safe to call from several threads."""

    def read(self, index: int) -> np.ndarray:
        """Returns cell `index` at its own size: RGB, uint8 (height, width, 3); raises BadImageError."""
        ...


@dataclass(frozen=True, eq=False)
class SomeOf:
    """Some images of another source.

    Attributes:
        source: the other source.
        rows: int64 (N,), index in the other source for each index of this one.
    """

    source: ImageSource
    rows: np.ndarray

    def read(self, index: int) -> np.ndarray:
        """Returns cell `index`, RGB, uint8 (height, width, 3)."""
        return self.source.read(int(self.rows[index]))

    def parasites(self, index: int) -> np.ndarray | None:
        """Returns what `parasites_of` returns of cell `index`."""
        return parasites_of(self.source, int(self.rows[index]))


def parasites_of(source: ImageSource, index: int) -> np.ndarray | None:
    """Returns where the parasites of cell `index` are, bool (height, width), if its source knows that, as that of synthetic cells does."""
    find: Callable[[int], np.ndarray | None] | None = getattr(source, "parasites", None)
    return None if find is None else find(index)


@dataclass(frozen=True, eq=False)
class CellTable:
    """All cells of a dataset, one row a cell; every column has the shape (N,).

    Attributes:
        name: the dataset's name for reports.
        cell_id: unique name of the cell (str).
        label: int8, 1 = parasitized, 0 = uninfected.
        patient: whom the cell comes from (str); the unit of every split and interval; UNKNOWN where it is not known.
        slide: the slide (str); a patient may have several.
        field: the field of view (str), one photograph of a slide.
        content: SHA-256 of the image's file as hex (str), or of what decides its pixels where there is no file.
        source: reads the pixels of row i.
        file: where each image was read from (str); None where there are no files.
        pixels: fingerprints of the decoded images (str), by which they are the same whatever their files; None until they are decoded.
        truth: int8, the true label, where `label` holds mistakes that were put in on purpose; None where no label is known to be wrong.
        weight: float32, what each cell weighs in training, at least 0; None where all weigh the same.
        further: what else the user's CSV says, str (N,) by the name of the column, "" where it says nothing.
        bad: files that were found to be bad and have no row.
        policy: what becomes of bad images.
        notes: what a reader of a report on this data should know, whichever of its cells are used.
        mended_by: what would make unknown patients known, a sentence.
    """

    name: str
    cell_id: np.ndarray
    label: np.ndarray
    patient: np.ndarray
    slide: np.ndarray
    field: np.ndarray
    content: np.ndarray
    source: ImageSource
    file: np.ndarray | None = None
    pixels: np.ndarray | None = None
    truth: np.ndarray | None = None
    weight: np.ndarray | None = None
    further: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    bad: tuple[BadImage, ...] = ()
    policy: BadImagePolicy = STOP
    notes: tuple[str, ...] = ()
    mended_by: str = ""

    def __post_init__(self) -> None:
        lengths = {name: len(column) for name, column in {**self._columns(), **self.further}.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"Expected columns of one length. Received: {lengths}")
        if not len(self.cell_id):
            raise DataError(f"Dataset '{self.name}' holds no cells.")
        if not np.isin(self.label, (0, 1)).all():
            raise ValueError(f"Expected labels 0 and 1. Received: {np.unique(self.label)}")
        ids, counts = np.unique(self.cell_id, return_counts=True)
        if (counts > 1).any():
            raise DataError(f"Dataset '{self.name}' holds {int((counts > 1).sum())} cell names more than once:\n{listing(ids[counts > 1])}")

    def __len__(self) -> int:
        return len(self.cell_id)

    def __repr__(self) -> str:
        return f"CellTable('{self.name}': {len(self):,} cells of {len(np.unique(self.patient)):,} patients)"

    def _columns(self) -> dict[str, np.ndarray]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}

    def select(self, rows: np.ndarray) -> "CellTable":
        """Returns the table of these rows (int64), in this order."""
        columns: dict[str, Any] = {name: column[rows] for name, column in self._columns().items()}
        further = {name: column[rows] for name, column in self.further.items()}
        return replace(self, **columns, further=further, source=SomeOf(self.source, np.asarray(rows)))

    @property
    def unknown_patients(self) -> int:
        """Number of cells whose patient is not known."""
        return int((self.patient == UNKNOWN).sum())

    @property
    def remarks(self) -> tuple[str, ...]:
        """The notes, and what follows from unknown patients among the cells of this table; of cells that were excluded it says nothing."""
        unknown = self.unknown_patients
        if not unknown:
            return self.notes
        which = "no patients are known" if unknown == len(self) else f"the patients of {unknown:,} of {len(self):,} cells are not known"
        return (*self.notes, f"{which}, so splitting by patient is impossible, and with it an honest test. {self.mended_by}".rstrip())

    @classmethod
    def from_names(cls, name: str, labels: Mapping[str, np.ndarray], **columns: object) -> "CellTable":
        """Builds a table from class names instead of numbers, so that no source's own numbering gets in.

        Args:
            name: the dataset's name.
            labels: {"parasitized": mask, "uninfected": mask}, boolean, each row in exactly one.
            **columns: the other columns and the source.
        """
        if set(labels) != set(CLASS_NAMES):
            raise ValueError(f"Expected the classes {CLASS_NAMES}. Received: {sorted(labels)}")
        masks = np.stack([labels[class_name] for class_name in CLASS_NAMES]).astype(bool)
        if (masks.sum(axis=0) != 1).any():
            raise ValueError("Expected each cell in exactly one class.")
        return cls(name=name, label=masks.argmax(axis=0).astype(np.int8), **columns)  # type: ignore[arg-type]

    @cached_property
    def infected(self) -> np.ndarray:
        """Boolean (N,): the cell's patient has at least one parasitized cell in this table."""
        sick = np.unique(self.patient[self.label == POSITIVE])
        return np.isin(self.patient, sick)

    @cached_property
    def data_hash(self) -> str:
        """SHA-256 over names, labels, patients and contents, and weights if there are any; it does not depend on the rows' order."""
        columns = [self.cell_id, self.label, self.patient, self.content, *([] if self.weight is None else [self.weight])]
        rows = sorted(zip(*(column.tolist() for column in columns), strict=True))
        digest = hashlib.sha256()
        for row in rows:
            digest.update("\t".join(map(str, row)).encode() + b"\n")
        return digest.hexdigest()

    def summary(self) -> dict[str, int]:
        """Returns the counts every report names: cells, classes, patients, infected, healthy, slides, fields."""
        return {
            **count_cells(self.label, self.patient),
            "slides": len(np.unique(self.slide)),
            "fields": len(np.unique(self.field)),
        }


def of_patients(counts: Mapping[str, int], *, known: bool = True) -> str:
    """Returns "of 20 patients" for counts of cells, or "of unknown patients" if `known` is false."""
    return f"of {counts['patients']:,} patients" if known else "of unknown patients"


def rows_by_patient(patient: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yields each patient's name and rows, ascending, in the order of the names.

    Args:
        patient: of each cell, (N,).
    """
    order = np.argsort(patient, kind="stable")
    names, starts = np.unique(patient[order], return_index=True)
    yield from zip(names.tolist(), np.split(order, starts[1:]), strict=True)


def count_cells(label: np.ndarray, patient: np.ndarray, infected: np.ndarray | None = None) -> dict[str, int]:
    """Counts cells and patients.

    Args:
        label: int8 (N,), 1 = parasitized.
        patient: str (N,).
        infected: the infected patients; by default those with a parasitized cell among these cells.

    Returns:
        {"cells", "parasitized", "uninfected", "patients", "infected_patients", "healthy_patients"}.
    """
    positive = label == POSITIVE
    patients = np.unique(patient)
    sick = int(np.isin(patients, patient[positive] if infected is None else infected).sum())
    return {
        "cells": len(label),
        "parasitized": int(positive.sum()),
        "uninfected": int((~positive).sum()),
        "patients": len(patients),
        "infected_patients": sick,
        "healthy_patients": len(patients) - sick,
    }
