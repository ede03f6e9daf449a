"""Leaks from parent runs: a run must not be validated or tested on what its weights were trained on before.

A parent run is a finished run whose weights a run starts from, or that is evaluated again.
"""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from malaria_exp.data.cell_table import UNKNOWN, CellTable
from malaria_exp.data.fingerprints import near_duplicates
from malaria_exp.data.split_manifest import Manifest
from malaria_exp.utils.errors import LeakError, listing

LEARNED_FROM = ("train", "val")
# What a parent trained on must be in neither of these subsets. What it validated on, and so chose its epoch and threshold by, must not
# be in test.
JUDGED_BY = {"train": ("val", "test"), "val": ("test",)}

# A name may be that of another clinic's patient; an image of the same content is the same.
MATCHED_BY = {"patients": "name", "images": "content"}
OTHER_PATIENTS = (
    "No image is shared. If these are other patients of the same names, such as another clinic's numbers 1, 2, 3, give its names a"
    " clinic: dataset=folder dataset.patients_of=clinic_b"
)

Leaks = dict[str, list[str]]


def find_leaks(
    cells: CellTable | Manifest, parent: Manifest, *, rows: np.ndarray | slice = slice(None), learned_from: Iterable[str] = LEARNED_FROM
) -> Leaks:
    """Returns the patients and cells that a parent run has learned from, sorted, as {"patients": [...], "images": [...]}.

    Kinds of which nothing is shared are not in it. Cells of unknown patients are no evidence. Images are the same by their pixels, or by
    the content of their files, which is all that runs of earlier versions have recorded.

    Args:
        cells: the cells that the weights are to score.
        parent: the split of the parent run.
        rows: those of the cells that count, as numbers or bool (N,).
        learned_from: the subsets of the parent that count.
    """
    learned = np.isin(parent.subset, list(learned_from))
    same = np.isin(cells.content[rows], parent.content[learned])
    if cells.pixels is not None and parent.pixels is not None:
        same |= np.isin(cells.pixels[rows], np.setdiff1d(parent.pixels[learned], [""]))
    shared = {
        "patients": set(cells.patient[rows].tolist()) & set(parent.patient[learned].tolist()) - {UNKNOWN},
        "images": cells.cell_id[rows][same].tolist(),
    }
    return {what: sorted(names) for what, names in shared.items() if names}


def compared_by_pixels(cells: CellTable, parent: Manifest) -> bool:
    """Returns whether `find_leaks` has compared all images by their pixels."""
    learned = np.isin(parent.subset, LEARNED_FROM)
    return cells.pixels is not None and parent.pixels is not None and "" not in cells.pixels and "" not in parent.pixels[learned]


def find_near_duplicates(
    cells: CellTable | Manifest, parent: Manifest, *, rows: np.ndarray | slice = slice(None), learned_from: Iterable[str] = LEARNED_FROM
) -> list[str] | None:
    """Returns which cells look like lossy copies of images that a parent run has learned from: "a (like b)"; see `find_leaks`.

    None if they were not compared: pixels are not known, or there are too many.
    """
    if cells.pixels is None or parent.pixels is None:
        return None
    learned = np.isin(parent.subset, list(learned_from))
    pairs = near_duplicates(cells.pixels[rows], parent.pixels[learned])
    names, theirs = cells.cell_id[rows], parent.cell_id[learned]
    return None if pairs is None else [f"{names[mine]} (like {theirs[other]})" for mine, other in pairs]


def note_near_duplicates(manifest: Manifest, parents: Manifest | None) -> Manifest:
    """Returns the split, with a warning if what it validates or tests on looks like lossy copies of what the weights learn from."""
    found = [
        name
        for source in (manifest, parents)
        if source is not None
        for learned, judged in JUDGED_BY.items()
        for name in find_near_duplicates(manifest, source, rows=np.isin(manifest.subset, judged), learned_from=[learned]) or ()
    ]
    if not found:
        return manifest
    note = f"{len(found):,} validation or test images look like copies of images the weights learn from: {list_few(found)}."
    details = {**manifest.details, "warnings": [*manifest.details.get("warnings", ()), note]}
    return dataclasses.replace(manifest, details=details)


def list_few(names: list[str]) -> str:
    """Returns the first names in a line."""
    return ", ".join(names[:5]) + " ..." * (len(names) > 5)


def join_leaks(found: Iterable[Leaks]) -> Leaks:
    """Returns the leaks of several searches as one."""
    joined: dict[str, set[str]] = {"patients": set(), "images": set()}
    for leaks in found:
        for what, names in leaks.items():
            joined[what].update(names)
    return {what: sorted(names) for what, names in joined.items() if names}


def count_leaks(leaks: Mapping[str, list[str]]) -> str:
    """Returns how much is shared: "2 patients (by name) and 31 images (by content)"."""
    return " and ".join(f"{len(names):,} {what} (by {MATCHED_BY[what]})" for what, names in leaks.items())


def list_leaks(leaks: Mapping[str, list[str]]) -> str:
    """Returns what is shared, a name a line, and what to do where only names of patients are."""
    text = "\n".join(f"{len(names)} {what}, matched by {MATCHED_BY[what]}:\n{listing(names)}" for what, names in leaks.items())
    if set(leaks) == {"patients"}:
        text += f"\n{OTHER_PATIENTS}"
    return text


def guard_against_parent_runs(manifest: Manifest, parents: Manifest | None, *, allow_leak: bool) -> Manifest:
    """Returns the split, marked as leaky if parent runs have learned from what it validates or tests on.

    Args:
        manifest: this run's split.
        parents: the training and validation cells of the parent runs; None without any.
        allow_leak: the user's `allow_leak=true`.

    Raises:
        LeakError: they have, nobody allowed it, and the split is not leaky anyway.
    """
    if parents is None:
        return manifest
    leaks = join_leaks(
        find_leaks(manifest, parents, rows=np.isin(manifest.subset, judged), learned_from=[learned])
        for learned, judged in JUDGED_BY.items()
    )
    if not leaks:
        return manifest
    if not (allow_leak or manifest.leaky):
        raise LeakError(
            f"The weights come from runs that have trained or validated on cells which this run validates or tests on.\n{list_leaks(leaks)}\n"
            "Use the same dataset and split as those runs (split=by_manifest split.path=.../split.csv), or cells of other patients, or set"
            " allow_leak=true: every result is then stamped LEAKY."
        )
    note = f"The weights come from parent runs, which trained or validated on {count_leaks(leaks)} of this run's validation or test."
    details = {**manifest.details, "warnings": [*manifest.details.get("warnings", ()), note]}
    return dataclasses.replace(manifest, details=details, inherited_leak=True)
