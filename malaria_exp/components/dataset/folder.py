"""Any two-class folder (or zip) of cell images, with patients from a CSV where there is one."""

import posixpath
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Annotated

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Pattern, Probability
from malaria_exp.data.cell_table import UNKNOWN, BadImagePolicy, CellTable, OnBadImage
from malaria_exp.data.readers.assemble import Cell, assemble
from malaria_exp.data.readers.cell_list import CellList, read_cell_list
from malaria_exp.data.readers.files import Files, hash_files, is_image, open_files
from malaria_exp.data.readers.index import look_up
from malaria_exp.data.readers.layout import Found, Layout, check_any, class_prefix, find_cells, unsafe_files
from malaria_exp.data.readers.names import parse_name
from malaria_exp.utils.errors import ConfigError

# Names of the two classes' folders. 0 and 1 are not among them, because either may mean parasitized.
POSITIVE_NAMES = ("parasitized", "parasitised", "infected", "positive", "malaria", "falciparum")
NEGATIVE_NAMES = ("uninfected", "healthy", "negative", "normal", "noninfected", "non_infected", "non-infected", "not_infected")
MENDED_BY = "A CSV with the columns file and patient (slide and field, if known) would mend it: dataset.csv=cells.csv"

# Or a whole number: folders are often called 0 and 1, which Hydra reads as numbers.
Name = Annotated[str, Pattern(r"[^/\\]+", "the name of a folder, without the folders above it")] | int


@register("dataset", "folder")
def folder(
    *,
    path: Annotated[str, Pattern(r".+", "the path of a folder or zip")],
    positive: Name | None = None,
    negative: Name | None = None,
    csv: Annotated[str, Pattern(r".+", "the path of a CSV")] | None = None,
    on_bad_image: OnBadImage = "error",
    max_bad_fraction: Probability = 0.01,
) -> CellTable:
    """Any folder or zip with a folder a class: PNG, JPEG, TIFF, BMP, WebP; patients from a CSV.

    Args:
        path: the folder or zip; the class folders may be at any depth, also below train/ and test/.
        positive: name of the folder with parasitized cells; null to find it (parasitized, infected, positive ...).
        negative: name of the folder with uninfected cells; null to find it (uninfected, healthy, negative, normal ...).
        csv: a CSV with a header and the columns file (below path) and any of patient, slide, field, label; with labels no class
            folders are needed. Without a CSV, patients are read from NIH file names; without patients no split by patient is possible.
        on_bad_image: error stops before any training and lists all bad images; skip excludes and records them.
        max_bad_fraction: the largest fraction of bad images with which skip goes on.

    Raises:
        ConfigError: only one of positive and negative is given, or both are the same.
        DataError: nothing at the path, the classes are not found, one has no images, or the CSV is malformed.
    """
    class_of = _class_words(positive, negative)
    files = open_files(path, "folder")
    check_any(files)
    listed = None if csv is None else read_cell_list(csv, files, class_of)
    if listed is not None and "label" in listed.columns:
        layout = _from_list(files, listed)
    else:
        advice = "Name them: dataset.positive=... dataset.negative=..., or list files and labels in a CSV: dataset.csv=..."
        layout = find_cells(files, class_of, advice)
    cells = _with_patients(files, layout, listed, class_of)
    hashes, unreadable = hash_files(files, [cell.number for cell in cells])
    cells, notes = _with_nih_patients(cells, hashes)
    bad = [*layout.bad, *unreadable, *(listed.missing if listed else ())]
    policy = BadImagePolicy(on_bad_image, max_bad_fraction)
    table = assemble("folder", files, cells, hashes, bad=bad, policy=policy, notes=[*layout.notes, *notes])
    return replace(table, mended_by=f"What would mend it is to fill in the column patient of {csv} for every file" if csv else MENDED_BY)


def _class_words(positive: str | int | None, negative: str | int | None) -> dict[str, str]:
    """Returns the class name by folder name (or label) in lower case."""
    if (positive is None) != (negative is None):
        given, lacking = ("positive", "negative") if negative is None else ("negative", "positive")
        raise ConfigError(f"dataset.{lacking}: missing; with dataset.{given} the other class must be named too.")
    if positive is None or negative is None:
        return dict.fromkeys(POSITIVE_NAMES, "parasitized") | dict.fromkeys(NEGATIVE_NAMES, "uninfected")
    if str(positive).lower() == str(negative).lower():
        raise ConfigError(f"dataset.positive, dataset.negative: expected two names, received '{positive}' and '{negative}'.")
    return {str(positive).lower(): "parasitized", str(negative).lower(): "uninfected"}


def _from_list(files: Files, listed: CellList) -> Layout:
    """Returns the images that a CSV with labels lists."""
    found = [
        Found(index, row["label"], PurePosixPath(files.names[index]).with_suffix("").as_posix())
        for index, row in sorted(listed.rows.items())
    ]
    aside = sum(is_image(name) for index, name in enumerate(files.names) if index not in listed.rows)
    return Layout(found, unsafe_files(files), [f"{aside:,} images do not stand in {listed.path} and were not looked at"] if aside else [])


def _with_patients(files: Files, layout: Layout, listed: CellList | None, class_of: Mapping[str, str]) -> list[Cell]:
    """Gives each image its cell's name, and patient, slide and field from the CSV, else from an NIH name, else UNKNOWN.

    If the CSV has patients, none are read from names, as these may name the same patient differently.
    """
    names = _unique_names(files, layout.found)
    by_name = listed is None or "patient" not in listed.columns
    cells = []
    for (index, class_name, name), cell_id in zip(layout.found, names, strict=True):
        row = listed.rows.get(index, {}) if listed else {}
        parts = parse_name(class_prefix(PurePosixPath(name).name, class_of)[1]) if by_name else None
        patient = row.get("patient") or (parts.patient if parts else UNKNOWN)
        slide = row.get("slide") or (parts.slide if parts else patient)
        cells.append(Cell(index, class_name, cell_id, patient, slide, row.get("field") or (parts.field if parts else slide)))
    return cells


def _with_nih_patients(cells: list[Cell], hashes: Mapping[int, str]) -> tuple[list[Cell], list[str]]:
    """Gives cells of the NIH set that are known by their content alone their patient, slide and field, and says so in a note.

    Patients of whom the CSV or a name names other cells keep that name, under which alone they can be kept together.
    """
    if all(cell.patient != UNKNOWN for cell in cells):
        return cells, []
    known = {cell.number: item.parts for cell in cells if (item := look_up(hashes.get(cell.number, "")))}
    named = {known[cell.number].patient: cell.patient for cell in cells if cell.patient != UNKNOWN and cell.number in known}
    found = [
        cell._replace(
            patient=named.get(parts.patient, parts.patient),
            slide=parts.slide if cell.slide == UNKNOWN else cell.slide,
            field=parts.field if cell.field == UNKNOWN else cell.field,
        )
        if cell.patient == UNKNOWN and (parts := known.get(cell.number))
        else cell
        for cell in cells
    ]
    count = sum(cell.patient == UNKNOWN and cell.number in known for cell in cells)
    return found, [
        f"the patients of {count:,} cells were found by the images' content, which is that of files of the NIH set"
    ] if count else []


def _unique_names(files: Files, found: list[Found]) -> list[str]:
    """Returns the shortest kind of unique names: below the class folder, with the class, with all folders, or with the ending too.

    Folders that contain all cells are not in the names, so a zip of a folder has the same cells as the folder.
    """
    below = [item.name for item in found]
    with_class = [f"{item.class_name}/{item.name}" for item in found]
    whole = [files.names[item.number] for item in found]
    with_folders = [PurePosixPath(name).with_suffix("").as_posix() for name in whole]
    names = next((names for names in (below, with_class, with_folders) if len(set(names)) == len(names)), whole)
    above = posixpath.commonpath([posixpath.dirname(name) for name in names]) if names else ""
    return [name.removeprefix(f"{above}/") for name in names]
