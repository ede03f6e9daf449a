"""The NIH malaria cell images: 27,558 crops from 200 patients, downloaded, or read from a zip or folder of any known form.

Source: Rajaraman et al. 2018, https://peerj.com/articles/4568, https://data.lhncbc.nlm.nih.gov/public/Malaria/cell_images.zip
"""

from pathlib import Path
from typing import Annotated

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Pattern, Probability
from malaria_exp.data.cell_table import BadImage, BadImagePolicy, CellTable, OnBadImage
from malaria_exp.data.readers.assemble import Cell, assemble
from malaria_exp.data.readers.class_words import class_prefix
from malaria_exp.data.readers.files import Files, hash_files, open_files
from malaria_exp.data.readers.layout import Layout, find_cells
from malaria_exp.data.readers.names import parse_name
from malaria_exp.data.readers.nih_files import HOME, check_mappings, download
from malaria_exp.utils.errors import DataError, listing

CLASS_FOLDERS = {"parasitized": "parasitized", "uninfected": "uninfected"}


@register("dataset", "nih")
def nih(
    *,
    path: Annotated[str, Pattern(r".+", "the path of cell_images.zip or of its folder")] | None = None,
    root: str | None = None,
    url: Annotated[str, Pattern(r"https?://.+", "an address that starts with https:// or http://")] = HOME,
    mappings: list[str] = [],  # noqa: B006
    on_bad_image: OnBadImage = "error",
    max_bad_fraction: Probability = 0.01,
) -> CellTable:
    """The NIH cell images: downloaded once, or read from a zip or folder of any known form.

    Args:
        path: the official zip, or a folder or zip with its cells in any of the known forms (docs/data.md); nothing is unpacked. null
            to download the official files, 353 MB.
        root: the data folder, where downloads are kept for later runs; null for the environment's MALARIA_EXP_DATA, else
            ~/.local/share/malaria_exp.
        url: address of the folder to download the official files from, such as a mirror's; their SHA-256 is checked.
        mappings: the official patientid_cellmapping_*.csv files, which are downloaded too; if there are any, each cell must be listed
            with the slide that its name says.
        on_bad_image: error stops before any training and lists all bad images; skip excludes and records them.
        max_bad_fraction: the largest fraction of bad images with which skip goes on.

    Raises:
        DataError: nothing or nothing known is at the path; the download failed; a class has no images; or names and mappings differ.
    """
    if path is None:
        archive, official_mappings = download(root, url)
        path, mappings = str(archive), mappings or [str(item) for item in official_mappings]
    files = open_files(path, "nih")
    layout = find_cells(files, CLASS_FOLDERS, "For other folder names: dataset=folder dataset.positive=... dataset.negative=...")
    cells, bad = read_names(files, layout)
    if not cells:
        raise DataError(
            f"dataset.path: none of the {len(layout.found):,} images in '{path}' has a name of the NIH set, such as"
            f" C33P1thinF_IMG_20150619_114756a_cell_179.png:\n{listing([item.file for item in bad], 5)}\n"
            "For other cells, and for renamed ones, whose content is known: dataset=folder"
        )
    if mappings:
        check_mappings({f"{cell.cell_id}.png": cell.slide for cell in cells}, [Path(item) for item in mappings])
    hashes, unreadable = hash_files(files, [cell.number for cell in cells])
    policy = BadImagePolicy(on_bad_image, max_bad_fraction)
    return assemble("nih", files, cells, hashes, bad=[*layout.bad, *bad, *unreadable], policy=policy, notes=layout.notes)


def read_names(files: Files, layout: Layout) -> tuple[list[Cell], list[BadImage]]:
    """Reads patient, slide and field from the names; some copies put the class in front of them.

    Returns:
        The cells, and the files whose name does not follow the grammar or contradicts its folder.
    """
    cells, bad = [], []
    for index, class_name, name in layout.found:
        stem = name.rpartition("/")[2]
        prefix, bare = class_prefix(stem, CLASS_FOLDERS)
        parts = parse_name(bare)
        if parts is None:
            bad.append(BadImage(files.names[index], "its name does not follow the NIH grammar, so its patient is unknown"))
        elif prefix not in (None, class_name):
            bad.append(BadImage(files.names[index], f"its name says {prefix}, its folder {class_name}"))
        else:
            cells.append(Cell(index, class_name, bare, *parts))
    return cells, bad
