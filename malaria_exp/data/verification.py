"""What is wrong with a dataset: images that cannot be decoded, and files that differ from those of the NIH set."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
from threadpoolctl import threadpool_limits

from malaria_exp.data.bad_images import all_bad_images, same_pixels
from malaria_exp.data.cell_table import CLASS_NAMES, BadImageError, CellTable
from malaria_exp.data.fingerprints import fingerprint, near_duplicates
from malaria_exp.data.readers.class_words import class_prefix
from malaria_exp.data.readers.index import DIGITS, Known, read_index
from malaria_exp.utils.progress_bars import track

NEAR = "near duplicate"
# Kinds of findings, in the order in which they are shown.
KINDS = {
    "missing": "in the index, not here",
    "extra": "here, not in the index",
    "changed": "the name of a file of the index, but other content",
    "renamed": "the content of a file of the index, under another name",
    "other class": "in the index, but in the other class",
    "bad or double": "cannot be used, or stands here more than once",
    NEAR: "looks like a copy of another image, perhaps by chance; not an error",
}
# Datasets that should be the NIH set: not one cell of it is then a finding too.
NIH_DATASETS = ("nih", "tfds")
CLASSES = dict(zip(CLASS_NAMES, CLASS_NAMES, strict=True))
# By kind: the files, each with what is wrong with it.
Findings = dict[str, list[tuple[str, str]]]
Patients = Literal["all", "present"]


def find_faults(table: CellTable, patients: Patients) -> Findings:
    """Decodes every image, and compares the table with the index of the NIH set if any cell of that set is in it.

    Args:
        table: the cells.
        patients: "all" expects the files of all patients of the NIH set, "present" only those of patients with a file here.

    Returns:
        The findings of each kind. Kinds of differences from the index are missing if the table was not compared with it, and near
        duplicates if there are too many cells to look for them.
    """
    pixels, reasons = look_at_images(table)
    decoded = replace(table, pixels=pixels)
    bad = all_bad_images(table, {**reasons, **same_pixels(decoded)})
    found: Findings = {**(compare(table, patients) if is_nih(table) else {}), "bad or double": list(bad)}
    pairs = near_duplicates(pixels)
    if pairs is not None:
        names = table.cell_id if table.file is None else table.file
        found[NEAR] = [(str(names[row]), f"looks like {names[other]}") for row, other in pairs]
    return found


def is_nih(table: CellTable) -> bool:
    """Returns whether a table is to be compared with the index: it says so itself, or a name or content of the NIH set is in it."""
    index = read_index()
    contents = {item[:DIGITS] for item in table.content.tolist()}
    names = {_bare(cell_id) for cell_id in table.cell_id.tolist()}
    return table.name in NIH_DATASETS or not contents.isdisjoint(index) or not names.isdisjoint(_names(index))


def _names(index: Mapping[str, Known]) -> dict[str, Known]:
    return {known.cell_id: known for known in index.values()}


def _bare(name: str) -> str:
    return name.rpartition("/")[2]


def look_at_images(table: CellTable) -> tuple[np.ndarray, dict[int, str]]:
    """Decodes every image.

    Returns:
        The fingerprints, str (N,), "" of those that cannot be decoded; and the reasons of these, by row.
    """
    reasons: dict[int, str] = {}

    def look(row: int) -> str:
        try:
            return fingerprint(table.source.read(row))
        except BadImageError as error:
            reasons[row] = str(error)
            return ""

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor() as pool:
        pixels = list(track(pool.map(look, range(len(table))), "looking at every image", total=len(table)))
    return np.array(pixels), dict(sorted(reasons.items()))


def compare(table: CellTable, patients: Patients) -> Findings:
    """Compares a table with the index of the NIH set, by content first and then by name.

    Args:
        table: the cells.
        patients: see `find_faults`.

    Returns:
        For each of KINDS but the last two, the names and what is off with them.
    """
    index = read_index()
    by_name = _names(index)
    findings: Findings = {kind: [] for kind in KINDS if kind not in ("bad or double", NEAR)}
    # What cannot be used has no row, and is not missing either.
    here = {class_prefix(PurePosixPath(item.file).stem, CLASSES)[1] for item in table.bad}
    for row, (cell_id, label, content) in enumerate(zip(table.cell_id.tolist(), table.label.tolist(), table.content.tolist(), strict=True)):
        name = cell_id if table.file is None else str(table.file[row])
        known, named = index.get(content[:DIGITS]), by_name.get(_bare(cell_id))
        if known is None and named is None:
            findings["extra"].append((name, ""))
        elif known is None and named is not None:
            findings["changed"].append((name, "other content than the NIH set's file of this name"))
            here.add(named.cell_id)
        elif known is not None:
            here.add(known.cell_id)
            if known.cell_id != _bare(cell_id):
                findings["renamed"].append((name, f"is {known.cell_id}"))
            if known.class_name != CLASS_NAMES[label]:
                findings["other class"].append((name, f"{CLASS_NAMES[label]} here, {known.class_name} in the NIH set"))
    absent = [known for known in expected(table, patients) if known.cell_id not in here]
    findings["missing"] = [(f"{known.cell_id}.png", known.class_name) for known in absent]
    return findings


def expected(table: CellTable, patients: Patients) -> list[Known]:
    """Returns the files of the index that should be here."""
    present = set(table.patient.tolist())
    return [known for known in read_index().values() if patients == "all" or known.parts.patient in present]
