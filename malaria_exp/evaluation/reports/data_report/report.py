"""The data report: data_report.html, and its pictures one by one in plots/."""

from pathlib import Path
from typing import Any

from malaria_exp.config.run_config import Config
from malaria_exp.data.augmentation_chain import Augmentation
from malaria_exp.data.cell_table import CLASS_NAMES, CellTable
from malaria_exp.data.subsets import Data
from malaria_exp.evaluation.reports.data_report.augmentation_chapters import augmentation_chapters
from malaria_exp.evaluation.reports.data_report.cells_chapters import cells_chapter, data_chapter, split_chapter
from malaria_exp.evaluation.reports.data_report.page import DataReport
from malaria_exp.evaluation.reports.data_report.sample import Sample, training_sample
from malaria_exp.evaluation.reports.page_elements import write_pictures
from malaria_exp.utils.terminal_log import log

PAGE = "data_report.html"
NO_SPLIT = "none"


def write_data_report(
    folder: Path, config: Config, table: CellTable, data: Data, chain: list[Augmentation], *, excluded: int, samples: int, others: bool
) -> dict[str, Any]:
    """Writes the page and its pictures.

    Only pictures of training cells are looked at; of validation and test cells no more than counts is shown.

    Args:
        folder: that the files are written to.
        config: of the run that the report is about.
        table: the run's cells.
        data: its subsets; all cells count as training cells if the manifest's protocol is NO_SPLIT.
        chain: its augmentations, built.
        excluded: number of bad images that are not in the table.
        samples: cells of each class in the grids of samples.
        others: augmentations that the run does not use are shown, too.

    Returns:
        The facts for status.json.
    """
    cells, sample = training_sample(data, config.seed)
    manifest = data.manifest
    report = DataReport(
        title=f"Data report: {table.name}",
        subtitle=f"Split {manifest.protocol}, augmentation {_augmentation(config)}, seed {config.seed}. All pictures of cells are of training"
        " cells; the test subset stays sealed, and only counts of it are shown.",
        leaky=manifest.leaky,
        notes=_notes(table, data, excluded),
        tiles=_tiles(table, sample),
        chapters=[
            data_chapter(table, data, sample),
            cells_chapter(data, sample, samples=samples, seed=config.seed),
            split_chapter(data),
            *augmentation_chapters(config, data, cells, sample, chain, others=others),
        ],
        facts=_facts(config, table, data, sample),
    )
    write_pictures(folder, report.pictures)
    report.write(folder / PAGE)
    log.info(f"explored  {folder / PAGE}, and its {len(report.pictures)} pictures in {folder / 'plots'}")
    return {"report": PAGE, "pictures": len(report.pictures)}


def _augmentation(config: Config) -> str:
    return ", ".join(choice.name for choice in config.choices["aug"])


def _notes(table: CellTable, data: Data, excluded: int) -> list[str]:
    notes = [*table.remarks, *data.manifest.details.get("warnings", ())]
    if data.manifest.protocol == NO_SPLIT:
        only = CLASS_NAMES[int(table.label[0])]
        notes.append(
            f"All cells are {only}: nothing can be learned from one class, and no split is made. All cells count as training cells."
        )
    if excluded:
        notes.append(f"{excluded:,} bad images were excluded; excluded.csv lists them.")
    if 0 < table.unknown_patients < len(table):
        notes.append(f"The patients of {table.unknown_patients:,} cells are not known.")
    return notes


def _tiles(table: CellTable, sample: Sample) -> list[tuple[str, str, str]]:
    counts = table.summary()
    fraction = 100 * counts["parasitized"] / counts["cells"]
    tiles = [("Cells", f"{counts['cells']:,}", f"{counts['parasitized']:,} parasitized ({fraction:.0f} %)")]
    if table.unknown_patients:
        tiles += [("Patients", "unknown", "not in the data"), ("Slides", "unknown", "not in the data")]
    else:
        patients = f"{counts['infected_patients']:,} infected, {counts['healthy_patients']:,} healthy"
        tiles.append(("Patients", f"{counts['patients']:,}", patients))
        tiles.append(("Slides", f"{counts['slides']:,}", f"{counts['fields']:,} fields of view"))
    return [*tiles, ("Training cells", f"{sample.total:,}", f"{len(sample):,} of them are looked at")]


def _facts(config: Config, table: CellTable, data: Data, sample: Sample) -> list[tuple[str, str]]:
    return [
        ("dataset", table.name),
        ("SHA-256 of the data", table.data_hash),
        ("split", data.manifest.protocol),
        ("SHA-256 of the split", data.manifest.hash),
        ("seed", str(config.seed)),
        ("images", f"{sample.images.shape[1]} x {sample.images.shape[2]} pixels, {data.pixel_cache.rule.mode}"),
        ("augmentation", _augmentation(config)),
        ("batch size", str(config.batch_size)),
    ]
