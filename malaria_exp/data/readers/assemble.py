"""From image files to a CellTable: doubtful images are set aside with a reason, and the rows get a fixed order."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from malaria_exp.data.cell_table import CLASS_NAMES, BadImage, BadImagePolicy, CellTable
from malaria_exp.data.readers.files import Files, FileSource
from malaria_exp.utils.errors import DataError, by_reason, listing


class Cell(NamedTuple):
    """One image file with what is known of it; `number` is the file's, the others are CellTable's columns, where weight is None if all are 1.

    The values of `further` are in the order of `assemble`'s names.
    """

    number: int
    class_name: str
    cell_id: str
    patient: str
    slide: str
    field: str
    weight: float = 1.0
    further: tuple[str, ...] = ()


def assemble(
    name: str,
    files: Files,
    cells: Sequence[Cell],
    hashes: Mapping[int, str],
    *,
    bad: Sequence[BadImage],
    policy: BadImagePolicy,
    notes: Sequence[str] = (),
    further: Sequence[str] = (),
) -> CellTable:
    """Builds the table of a dataset that lies in files.

    Rows are sorted by class and cell name, so that the same cells give the same table in every layout.

    Args:
        name: the dataset's name.
        files: where the cells lie.
        cells: the image files of the two classes.
        hashes: SHA-256 of the contents as hex by file number; files that could not be read are missing.
        bad: files that were found to be bad before.
        policy: what becomes of bad images.
        notes: what a reader of a report should know.
        further: names of the table's further columns.

    Raises:
        DataError: nothing is left of a class that had images.
    """
    readable = [cell for cell in cells if cell.number in hashes]
    doubtful = find_doubtful(files.names, readable, hashes)
    kept = [cell for cell in readable if cell.number not in doubtful]
    kept.sort(key=lambda cell: (-CLASS_NAMES.index(cell.class_name), cell.cell_id))
    every_bad = [*bad, *(BadImage(files.names[index], reason) for index, reason in doubtful.items())]
    classes = np.array([cell.class_name for cell in kept], dtype=str)
    for class_name in sorted({cell.class_name for cell in cells}) or CLASS_NAMES:
        if class_name not in classes:
            lines = listing(by_reason(sorted(every_bad)))
            raise DataError(f"dataset '{name}': none of the images of the class {class_name} can be used. Bad images:\n{lines}")
    indices = np.array([cell.number for cell in kept])
    weight = np.array([cell.weight for cell in kept], np.float32)
    return CellTable.from_names(
        name,
        {class_name: classes == class_name for class_name in CLASS_NAMES},
        cell_id=np.array([cell.cell_id for cell in kept]),
        patient=np.array([cell.patient for cell in kept]),
        slide=np.array([cell.slide for cell in kept]),
        field=np.array([cell.field for cell in kept]),
        content=np.array([hashes[cell.number] for cell in kept]),
        file=np.array([files.names[cell.number] for cell in kept]),
        source=FileSource(files, indices),
        weight=None if (weight == 1).all() else weight,
        bad=tuple(sorted(every_bad)),
        policy=policy,
        notes=tuple(notes),
        further={name: np.array([cell.further[place] for cell in kept]) for place, name in enumerate(further)},
    )


def find_doubtful(names: Sequence[str] | Mapping[int, str], cells: Sequence[Cell], hashes: Mapping[int, str]) -> dict[int, str]:
    """Returns the files whose content or name is in the set more than once, with the reason.

    Of equal images of one class and one patient, the first by name is kept. Equal images of both classes or of several patients contradict
    each other, and so do different images of one name: all of them are doubtful.
    """
    doubtful: dict[int, str] = {}
    cells = sorted(cells, key=lambda cell: (cell.cell_id, names[cell.number]))
    for group in _groups(cells, lambda cell: hashes[cell.number]):
        by_class = {cell.class_name: names[cell.number] for cell in reversed(group)}
        by_patient = {cell.patient: names[cell.number] for cell in reversed(group)}
        for cell in group:
            if len(by_class) > 1:
                other = next(file for key, file in by_class.items() if key != cell.class_name)
                doubtful[cell.number] = f"the same image stands in both classes, as {other}"
            elif len(by_patient) > 1:
                other = next(file for key, file in by_patient.items() if key != cell.patient)
                doubtful[cell.number] = f"the same image stands under several patients, as {other}"
            elif cell is not group[0]:
                doubtful[cell.number] = f"the same image as {names[group[0].number]}"
    rest = [cell for cell in cells if cell.number not in doubtful]
    for group in _groups(rest, lambda cell: cell.cell_id):
        for cell in group:
            other = next(names[item.number] for item in group if item is not cell)
            doubtful[cell.number] = f"another image has the same name, {other}"
    return doubtful


def _groups(cells: Sequence[Cell], key: Callable[[Cell], str]) -> list[list[Cell]]:
    """Returns the lists of cells, two or more, that agree in a key."""
    groups: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        groups[key(cell)].append(cell)
    return [group for group in groups.values() if len(group) > 1]
