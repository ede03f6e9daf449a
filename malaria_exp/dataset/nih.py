"""The NIH malaria cell images: 27,558 crops of 200 people, read from the official zip without unpacking it.

Source: Rajaraman et al. 2018, https://peerj.com/articles/4568, https://data.lhncbc.nlm.nih.gov/public/Malaria/cell_images.zip
"""

import hashlib
import re
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Annotated

import numpy as np

from malaria_exp.dataset._names import parse_name
from malaria_exp.errors import ConfigError, DataError, listing
from malaria_exp.images import EMPTY, decode_png
from malaria_exp.progress import track
from malaria_exp.registry import register
from malaria_exp.schema import Pattern
from malaria_exp.table import BadImageError, CellTable, bad_images_error

CLASS_FOLDERS = {"Parasitized": "parasitized", "Uninfected": "uninfected"}


@register("dataset", "nih")
def nih(*, path: Annotated[str, Pattern(r".+", "the path of the official cell_images.zip")], mappings: list[str] = []) -> CellTable:  # noqa: B006
    """The NIH cell images from the official cell_images.zip.

    Args:
        path: the official zip; it is read as it is, nothing is unpacked.
        mappings: the official patientid_cellmapping_*.csv files; where given, every file of the zip must stand in them under
            the slide that its name says.

    Raises:
        DataError: the zip is missing, damaged or laid out otherwise, a name does not follow the grammar, an image cannot be
            read, or the mappings say otherwise.
    """
    archive = ZipCells(Path(path).expanduser())
    parts = {entry: parse_name(PurePosixPath(entry).stem) for entry in archive.entries}
    unknown = [entry for entry, found in parts.items() if found is None]
    if unknown:
        raise DataError(
            f"{path}: {len(unknown)} file names do not follow the NIH grammar, so their patients are unknown:\n{listing(unknown)}"
        )
    if mappings:
        check_mappings(
            {PurePosixPath(entry).name: found.slide for entry, found in parts.items() if found}, [Path(item) for item in mappings]
        )
    classes = np.array([CLASS_FOLDERS[PurePosixPath(entry).parent.name] for entry in archive.entries])
    named = [found for found in parts.values() if found]
    return CellTable.from_names(
        "nih",
        {name: classes == name for name in CLASS_FOLDERS.values()},
        cell_id=np.array([PurePosixPath(entry).stem for entry in archive.entries]),
        patient=np.array([found.patient for found in named]),
        slide=np.array([found.slide for found in named]),
        field=np.array([found.field for found in named]),
        content=archive.hash_contents(),
        source=archive,
    )


class ZipCells:
    """The PNG files of a zip's two class folders, sorted by name; an ImageSource.

    Attributes:
        path: the zip.
        entries: names inside the zip, of the shallowest folder that holds both classes; anything else in it is not looked at.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise DataError(
                f"dataset.path: no file '{path}'. Give the official cell_images.zip: python run.py dataset=nih dataset.path=/where/it/is/cell_images.zip;"
                " to try everything without data: dataset=synthetic"
            )
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
            raise DataError(f"dataset.path: '{path}' cannot be read as a zip: {error}. Was the download cut off? Fetch it again.") from None
        roots: dict[PurePosixPath, set[str]] = {}
        for entry in self._zip.namelist():
            folder = PurePosixPath(entry).parent
            if folder.name in CLASS_FOLDERS and self._is_cell(entry):
                roots.setdefault(folder.parent, set()).add(folder.name)
        complete = [root for root, found in roots.items() if found == set(CLASS_FOLDERS)]
        if not complete:
            raise DataError(f"dataset.path: '{path}' has no folder that holds both {' and '.join(CLASS_FOLDERS)} with PNG files in them.")
        # Some copies nest a second copy of everything one folder deeper.
        root = min(complete, key=lambda item: (len(item.parts), str(item)))
        folders = {root / name for name in CLASS_FOLDERS}
        self.entries = sorted(e for e in self._zip.namelist() if PurePosixPath(e).parent in folders and self._is_cell(e))

    @staticmethod
    def _is_cell(entry: str) -> bool:
        name = PurePosixPath(entry).name
        return name.lower().endswith(".png") and not name.startswith(".")

    def read_bytes(self, index: int) -> bytes:
        """Returns the file's bytes, at least one; the zip's own checksum is checked on the way."""
        try:
            data = self._zip.read(self.entries[index])
        except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
            raise BadImageError(f"cannot be read from the zip: {error}") from None
        except Exception as error:  # noqa: BLE001 - zlib and bz2 raise types of their own on damaged data
            raise BadImageError(f"damaged in the zip: {error}") from None
        if not data:
            # Said here already: as equal contents, two empty files would pass for a leak between subsets.
            raise BadImageError(EMPTY)
        return data

    def read(self, index: int) -> np.ndarray:
        """Returns the image, RGB uint8 (height, width, 3)."""
        return decode_png(self.read_bytes(index))

    def hash_contents(self) -> np.ndarray:
        """Returns the SHA-256 of every file's bytes as hex (N,); if any cannot be read, a DataError lists all bad images."""

        def digest(index: int) -> str | None:
            try:
                return hashlib.sha256(self.read_bytes(index)).hexdigest()
            except BadImageError:
                return None

        with ThreadPoolExecutor() as pool:
            hashes = list(track(pool.map(digest, range(len(self.entries))), "reading the zip", total=len(self.entries)))
        if None in hashes:
            # The user gets one full list: everything is decoded, not only read, before the run stops.
            raise bad_images_error(str(self.path), find_bad_images(self))
        return np.array(hashes)


def find_bad_images(cells: ZipCells) -> list[tuple[str, str]]:
    """Decodes every image and returns (file, reason) of those that cannot be used."""

    def reason(index: int) -> str | None:
        try:
            cells.read(index)
        except BadImageError as error:
            return str(error)
        return None

    with ThreadPoolExecutor() as pool:
        reasons = list(track(pool.map(reason, range(len(cells.entries))), "looking for bad images", total=len(cells.entries)))
    return [(entry, why) for entry, why in zip(cells.entries, reasons, strict=True) if why]


def check_mappings(slide_of_file: dict[str, str], paths: list[Path]) -> None:
    """Compares the slides of the file names with the official mapping CSVs.

    The CSVs have no header and CRLF line ends; a row is `slide,['a.png', 'b.png', ...],,,,` with the list unquoted, so a CSV
    reader would take it apart and, looking for a header, lose the first slide.

    Args:
        slide_of_file: slide by file name, from the names' grammar.
        paths: the mapping files.

    Raises:
        ConfigError: a mapping file does not exist.
        DataError: a row has another form, a file stands under another slide, or a file stands in no mapping.
    """
    mapped: dict[str, str] = {}
    for path in paths:
        if not path.expanduser().is_file():
            raise ConfigError(f"dataset.mappings: no file '{path}'.")
        for number, row in enumerate(path.expanduser().read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            match = re.fullmatch(r"([^,\[]+),\[(.*)\],*", row.strip())
            if row.strip() and match is None:
                raise DataError(f"{path}, line {number}: expected slide,['a.png', ...]; received {row[:60]!r}.")
            if match:
                mapped |= dict.fromkeys(re.findall(r"'([^']+)'", match[2]), match[1])
    wrong = [
        f"{file}: name says {slide}, mapping says {mapped.get(file, 'nothing')}"
        for file, slide in slide_of_file.items()
        if mapped.get(file) != slide
    ]
    if wrong:
        raise DataError(f"dataset.mappings: {len(wrong)} of {len(slide_of_file)} files do not agree with the mapping:\n{listing(wrong)}")
