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
from malaria_exp.data.readers.class_words import class_prefix, class_word
from malaria_exp.data.readers.files import Files, hash_files, is_image, open_files
from malaria_exp.data.readers.index import look_up
from malaria_exp.data.readers.layout import Found, Layout, check_any, find_cells, unsafe_files
from malaria_exp.data.readers.names import parse_name
from malaria_exp.utils.errors import ConfigError, DataError

SPECIES = ("falciparum", "vivax", "ovale", "malariae", "knowlesi")
STAGES = ("ring", "ring stage", "ring form", "trophozoite", "schizont", "gametocyte")
# Names of the two classes' folders, as class_word writes them. 0 and 1 are not among them, because either may mean parasitized.
POSITIVE_NAMES = (
    *("parasitized", "parasitised", "infected", "positive", "malaria"),
    *SPECIES,
    *(f"{genus} {species}" for species in SPECIES for genus in ("p", "plasmodium")),
    *(f"{stage}{plural}" for stage in STAGES for plural in ("", "s")),
)
NEGATIVE_NAMES = (
    *("uninfected", "healthy", "negative", "normal", "noninfected", "non infected", "not infected"),
    *("unparasitized", "unparasitised", "nonparasitized", "non parasitized", "non parasitised", "no parasite", "no parasites"),
    *("red blood cell", "red blood cells", "rbc", "rbcs"),
)
MENDED_BY = "A CSV with the columns file and patient (slide and field, if known) would mend it: dataset.csv=cells.csv"

# Or a whole number: folders are often called 0 and 1, which Hydra reads as numbers.
Name = Annotated[str, Pattern(r"[^/\\]+", "the name of a folder, without the folders above it")] | int
Names = Name | list[Name]


@register("dataset", "folder")
def folder(
    *,
    path: Annotated[str, Pattern(r".+", "the path of a folder or zip")],
    positive: Names | None = None,
    negative: Names | None = None,
    csv: Annotated[str, Pattern(r".+", "the path of a CSV")] | None = None,
    patients_of: Annotated[str, Pattern(r"\S(.*\S)?", "a clinic's name")] | None = None,
    on_bad_image: OnBadImage = "error",
    max_bad_fraction: Probability = 0.01,
) -> CellTable:
    """Any folder or zip with a folder a class: PNG, JPEG, TIFF, BMP, WebP; patients from a CSV.

    Args:
        path: the folder or zip; the class folders may be at any depth, also below train/ and test/.
        positive: name of the folder with parasitized cells, or a list of several; null to find them (parasitized, infected, positive,
            and those of species and stages: falciparum, ring ...).
        negative: name of the folder with uninfected cells, or a list; null to find them (uninfected, healthy, negative, normal ...). If
            one of the two is null, no other folder with images may lie beside those that are found.
        csv: a CSV with a header and the columns file (below path) and any of patient, slide, field, label, weight; with labels no class
            folders are needed, and files that are not listed are left out. A weight counts in training alone. Further columns can be
            subgroups of the report (evaluation.subgroups). Without a CSV, patients are read from NIH file names; without patients no
            split by patient is possible.
        patients_of: clinic whose patients these are; its name is put in front of theirs ("clinic_b/1"), so that they do not count as another
            clinic's patients of the same names. Patients that the NIH index knows by content keep their names.
        on_bad_image: error stops before any training and lists all bad images; skip excludes and records them.
        max_bad_fraction: the largest fraction of bad images with which skip goes on.

    Raises:
        ConfigError: a name stands for both classes, or a list is empty.
        DataError: nothing at the path, the classes are not found, a folder may be of either class, or the CSV is malformed.
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
        if layout.beside and None in (positive, negative):
            raise _unknown_folders(files, layout, class_of)
    cells = _with_patients(files, layout, listed, class_of)
    if patients_of is not None:
        cells = [cell if cell.patient == UNKNOWN else cell._replace(patient=f"{patients_of}/{cell.patient}") for cell in cells]
    hashes, unreadable = hash_files(files, [cell.number for cell in cells])
    cells, notes = _with_nih_patients(cells, hashes)
    bad = [*layout.bad, *unreadable, *(listed.missing if listed else ())]
    policy = BadImagePolicy(on_bad_image, max_bad_fraction)
    further = listed.further if listed else ()
    table = assemble("folder", files, cells, hashes, bad=bad, policy=policy, notes=[*layout.notes, *notes], further=further)
    return replace(table, mended_by=f"What would mend it is to fill in the column patient of {csv} for every file" if csv else MENDED_BY)


def _class_words(positive: Names | None, negative: Names | None) -> dict[str, str]:
    """Returns the class name by folder name (or label) as `class_word` writes it: those given, and the usual ones of a class without."""
    given = {
        class_name: [class_word(str(name)) for name in (names if isinstance(names, list) else [names])]
        for class_name, names in (("parasitized", positive), ("uninfected", negative))
        if names is not None
    }
    if [] in given.values():
        raise ConfigError("dataset.positive, dataset.negative: expected at least one name, received an empty list.")
    both = sorted(set(given.get("parasitized", ())) & set(given.get("uninfected", ())))
    if both:
        raise ConfigError(f"dataset.positive, dataset.negative: expected different names, received '{both[0]}' in both.")
    usual = {"parasitized": POSITIVE_NAMES, "uninfected": NEGATIVE_NAMES}
    named = {word: class_name for class_name, words in given.items() for word in words}
    found = {word: class_name for class_name, words in usual.items() if class_name not in given for word in words}
    return found | named


def _unknown_folders(files: Files, layout: Layout, class_of: Mapping[str, str]) -> DataError:
    """Returns the error for folders beside those of the classes that may be of either class, or of none."""
    parts = [set(PurePosixPath(files.names[item.number]).parts[:-1]) for item in layout.found]
    words = sorted({part for folders in parts for part in folders if class_word(part) in class_of})
    keys = {"parasitized": "positive", "uninfected": "negative"}
    known = {name: ",".join(word for word in words if class_of[class_word(word)] == name) for name in keys}
    lying = ", ".join(f"{name} ({count:,})" for name, count in layout.beside.items())
    return DataError(
        f"dataset.path: beside the folders of the classes in '{files.path}' there are others with images: {lying}. Say which class they are,"
        f" by naming all folders of both classes: {' '.join(f'dataset.{keys[name]}=[{known[name]},...]' for name in keys)}; folders in neither"
        " list are then left out, with a note."
    )


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
        more = tuple(row.get(name, "") for name in listed.further) if listed else ()
        field = row.get("field") or (parts.field if parts else slide)
        cells.append(Cell(index, class_name, cell_id, patient, slide, field, float(row.get("weight", 1)), more))
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
