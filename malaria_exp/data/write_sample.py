"""Writing a sample of a dataset as image files in the official layout of the NIH set, for tutorials and tests of other tools."""

import io
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from malaria_exp.data.bad_images import all_bad_images, check_policy
from malaria_exp.data.cell_table import CLASS_NAMES, BadImageError, CellTable
from malaria_exp.data.readers.files import FileSource
from malaria_exp.data.readers.names import parse_name
from malaria_exp.utils.atomic_files import human_bytes, new_folder, write_csv
from malaria_exp.utils.errors import ConfigError, DataError, cannot_write, listing
from malaria_exp.utils.filesystems import local_path, scheme_of
from malaria_exp.utils.progress_bars import track
from malaria_exp.utils.terminal_log import log

FOLDERS = {name: name.capitalize() for name in CLASS_NAMES}
PNG = b"\x89PNG\r\n\x1a\n"


def write_sample(table: CellTable, folder: Path, cells: int | None, seed: int) -> None:
    """Writes cells as PNG files into cell_images/Parasitized and cell_images/Uninfected of a new folder.

    Beside them lie the mappings patientid_cellmapping_parasitized.csv and patientid_cellmapping_uninfected.csv in their official form,
    and, where the table knows true labels apart from the given ones, truth.csv. Files that are PNGs already keep their bytes.

    Args:
        table: the cells; their names must follow the official grammar, as patients are read from them.
        folder: where they go; see new_sample_folder.
        cells: at most so many cells; None for all.
        seed: of which cells are taken.

    Raises:
        DataError: the folder cannot be written, names of another grammar, or bad images.
    """
    odd = [name for name in table.cell_id.tolist() if parse_name(name) is None]
    if odd:
        raise DataError(
            f"dataset '{table.name}': {len(odd)} cells have names that do not follow the grammar of the official set, which tells the"
            f" patient:\n{listing(odd, 5)}"
        )
    rows = choose(table, cells, seed)
    try:
        with new_folder(folder) as partial:
            for name in FOLDERS.values():
                (partial / "cell_images" / name).mkdir(parents=True)
            size = _write_images(table, rows, partial / "cell_images")
            _write_mappings(table, rows, partial)
            if table.truth is not None:
                names = np.array(CLASS_NAMES)
                columns = (table.cell_id[rows], names[table.label[rows]], names[table.truth[rows]])
                write_csv(partial / "truth.csv", ("cell_id", "label", "truth"), zip(*(column.tolist() for column in columns), strict=True))
            if folder.exists():
                # Empty, or new_sample_folder would have refused it.
                folder.rmdir()
    except OSError as error:
        raise cannot_write(error, f"task.to: cannot write '{folder}': {error}.") from None
    patients = len(np.unique(table.patient[rows]))
    log.info(f"prepared  {len(rows):,} of {len(table):,} cells, {patients} patients, {human_bytes(size)}: {folder}")


def new_sample_folder(to: str) -> Path:
    """Returns the local folder of a path or a file:// URL; it must not exist, or be empty.

    Raises:
        ConfigError: it is no local one.
        DataError: it holds something, or is a file.
    """
    if scheme_of(to) not in ("", "file"):
        raise ConfigError(f"task.to: expected a local folder for a sample, received '{to}'.")
    folder = local_path(to)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"task.to: '{folder}' holds files already; a sample is written to a new or an empty folder.")
    return folder


def choose(table: CellTable, cells: int | None, seed: int) -> np.ndarray:
    """Returns rows of the table, ascending (int64): at most `cells`, the same fraction of each patient's cells of either class.

    Every patient keeps a cell of each class that is there, as long as `cells` allows it.
    """
    if cells is None or cells >= len(table):
        return np.arange(len(table))
    # By name first, so that the table's order decides nothing.
    mixed = np.argsort(table.cell_id, kind="stable")[np.random.default_rng(seed).permutation(len(table))]
    kinds = np.unique(np.stack([table.patient, table.label.astype(str)]), axis=1, return_inverse=True)[1].reshape(-1)[mixed]
    order = np.argsort(kinds, kind="stable")
    sizes = np.bincount(kinds)
    rank = np.arange(len(table)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    # The first of each kind comes at 0, the others evenly up to 1, so that any beginning of this order has equal fractions.
    turn = np.argsort(rank / sizes[kinds[order]], kind="stable")
    return np.sort(mixed[order][turn[:cells]])


def _write_images(table: CellTable, rows: np.ndarray, root: Path) -> int:
    """Writes the PNG files; returns their bytes together."""
    bad: dict[int, str] = {}

    def write(row: int) -> int:
        try:
            data = _png(table, row)
        except BadImageError as error:
            bad[row] = str(error)
            return 0
        return (root / FOLDERS[CLASS_NAMES[table.label[row]]] / f"{table.cell_id[row]}.png").write_bytes(data)

    with ThreadPoolExecutor() as pool:
        size = sum(track(pool.map(write, rows.tolist()), "writing cells", total=len(rows)))
    check_policy(table, all_bad_images(table, bad))
    return size


def _png(table: CellTable, row: int) -> bytes:
    image = table.source.read(row)
    if isinstance(table.source, FileSource):
        original = table.source.files.read(int(table.source.indices[row]))
        if original.startswith(PNG):
            return original
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    return out.getvalue()


def _write_mappings(table: CellTable, rows: np.ndarray, folder: Path) -> None:
    """Writes the official mappings: no header, CRLF, a row a slide with its files as an unquoted list."""
    for label, name in enumerate(CLASS_NAMES):
        slides: dict[str, list[str]] = defaultdict(list)
        for row in rows[table.label[rows] == label].tolist():
            slides[str(table.slide[row])].append(f"{table.cell_id[row]}.png")
        text = "".join(f"{slide},{sorted(files)},,,,\r\n" for slide, files in sorted(slides.items()))
        (folder / f"patientid_cellmapping_{name}.csv").write_bytes(text.encode())
