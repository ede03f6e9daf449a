"""The picture book of the data and of what augmentation makes of it: book.html, and its pictures one by one in plots/."""

from typing import TYPE_CHECKING

import numpy as np

from malaria_exp.config.registry import build
from malaria_exp.config.run_config import Config
from malaria_exp.data.cell_table import CLASS_NAMES, BadImage, CellTable
from malaria_exp.data.split_manifest import TABLE_COLUMNS, Manifest
from malaria_exp.data.subsets import Data
from malaria_exp.runs.write_results import write_excluded
from malaria_exp.utils.atomic_files import write_bytes
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    from malaria_exp.components.task._explore_book_cells import Sample
    from malaria_exp.components.task._explore_book_page import Book, Chapter
    from malaria_exp.data.pixel_cache import PixelCache
    from malaria_exp.runs.run_folder import RunFolder

PAGE, PLOTS = "book.html", "plots"


def explore_book(config: Config, folder: "RunFolder", *, samples: int) -> None:
    """Draws the book.

    Only pictures of training cells are looked at; of validation and test cells no more than counts is shown.

    Args:
        config: of the run that the book is about.
        folder: of this task.
        samples: cells of each class in the grids of samples.
    """
    from malaria_exp.components.task._explore_book_augs import augmentation_chapters
    from malaria_exp.components.task._explore_book_cells import training_sample
    from malaria_exp.components.task._explore_book_data import cells_chapter, data_chapter, split_chapter
    from malaria_exp.components.task._explore_book_page import write_page
    from malaria_exp.runs.load_data import load_and_decode
    from malaria_exp.utils.tensorflow_setup import load_tensorflow

    load_tensorflow()
    # What cannot be built is said before anything is decoded.
    chain = [build("aug", choice.name, choice.params, path=choice.path) for choice in config.choices["aug"]]
    table, pixel_cache, excluded = load_and_decode(config)
    write_excluded(folder, excluded)
    data = _divide(config, table, pixel_cache, folder)
    cells, sample = training_sample(data, config.seed)
    chapters = [
        data_chapter(table, data, sample),
        cells_chapter(data, sample, samples=samples, seed=config.seed),
        split_chapter(data),
        *augmentation_chapters(config, data, cells, sample, chain),
    ]
    book = _bind(config, table, data, sample, excluded, chapters)
    for picture in book.pictures:
        write_bytes(folder / PLOTS / f"{picture.name}.png", picture.png)
    page = write_page(folder / PAGE, book)
    folder.facts |= {"book": PAGE, "pictures": len(book.pictures)}
    log.info(f"explored  {page}, and its {len(book.pictures)} pictures in {folder / PLOTS}")


def _divide(config: Config, table: CellTable, pixel_cache: "PixelCache", folder: "RunFolder") -> Data:
    """Splits the table as a run would; of a single class nothing can be trained or split, so all its cells are shown."""
    from malaria_exp.runs.load_data import split

    if len(np.unique(table.label)) == len(CLASS_NAMES):
        return split(config, table, pixel_cache, folder, None)
    columns = {name: getattr(table, name) for name in TABLE_COLUMNS}
    return Data(Manifest(protocol="none", subset=np.full(len(table), "train"), **columns), pixel_cache)


def _bind(config: Config, table: CellTable, data: Data, sample: "Sample", excluded: list[BadImage], chapters: list["Chapter"]) -> "Book":
    from malaria_exp.components.task._explore_book_page import Book

    manifest, counts = data.manifest, table.summary()
    notes = [*table.notes, *manifest.details.get("warnings", ())]
    if manifest.protocol == "none":
        only = CLASS_NAMES[int(table.label[0])]
        notes.append(
            f"All cells are {only}: nothing can be learned from one class, and no split is made. All cells count as training cells."
        )
    if excluded:
        notes.append(f"{len(excluded):,} bad images were left out; excluded.csv lists them.")
    if 0 < table.unknown_patients < len(table):
        notes.append(f"The patients of {table.unknown_patients:,} cells are not known.")
    known = not table.unknown_patients
    patients = f"{counts['infected_patients']:,} infected, {counts['healthy_patients']:,} healthy" if known else "nobody knows them"
    share = 100 * counts["parasitized"] / counts["cells"]
    tiles = [
        ("Cells", f"{counts['cells']:,}", f"{counts['parasitized']:,} parasitized ({share:.0f} %)"),
        ("Patients", f"{counts['patients']:,}" if known else "unknown", patients),
        (
            "Slides",
            f"{counts['slides']:,}" if known else "unknown",
            f"{counts['fields']:,} fields of view" if known else "nobody knows them",
        ),
        ("Training cells", f"{sample.total:,}", f"{len(sample):,} of them are looked at"),
    ]
    aug = ", ".join(choice.name for choice in config.choices["aug"])
    facts = [
        ("dataset", table.name),
        ("SHA-256 of the data", table.data_hash),
        ("split", manifest.protocol),
        ("SHA-256 of the split", manifest.hash),
        ("seed", str(config.seed)),
        ("images", f"{sample.images.shape[1]} x {sample.images.shape[2]} pixels, {data.pixel_cache.rule.mode}"),
        ("augmentation", aug),
        ("batch size", str(config.batch_size)),
    ]
    return Book(
        title=f"A picture book of the cells: {table.name}",
        subtitle=f"Split {manifest.protocol}, augmentation {aug}, seed {config.seed}. All pictures of cells are of training cells; the"
        " test subset stays sealed, and only counts of it are shown.",
        leaky=manifest.leaky,
        notes=notes,
        tiles=tiles,
        chapters=chapters,
        facts=facts,
    )
