"""The cells by which exports are checked and int8 models are calibrated: the run's own where its dataset is at hand, else synthetic ones."""

from collections.abc import Iterable

import numpy as np

from malaria_exp.config.registry import build
from malaria_exp.config.run_config import Choice, Config
from malaria_exp.data.cell_table import BadImageError, CellTable
from malaria_exp.data.resize import ResizeRule
from malaria_exp.deployment.parity import CheckCells
from malaria_exp.runs.finished_runs import FinishedRun
from malaria_exp.runs.load_data import load_table, names_dataset
from malaria_exp.utils.errors import DataError, UserError
from malaria_exp.utils.terminal_log import log

CELLS_PER_PATIENT = 10


class RunCells:
    """The cells of a run, read from its dataset.

    Args:
        config: of the export.
        run: the run.
        overrides: what the user typed; with a dataset among them it is taken for the run's, as where its files have moved.

    Raises:
        UserError: the dataset cannot be read.
    """

    def __init__(self, config: Config, run: FinishedRun, overrides: Iterable[str]) -> None:
        given = names_dataset(overrides)
        params = {key: value for key, value in run.dataset.items() if key != "name"}
        own = Choice("dataset", run.dataset["name"], params, f"{run.path / 'config.yaml'}: dataset")
        self._table = load_table(config, config.one("dataset") if given else own)
        self._manifest = run.manifest

    def take(self, subset: str, count: int) -> tuple[list[np.ndarray], np.ndarray]:
        """Returns images at their own sizes and labels of at most so many cells of a subset, spread evenly over it.

        Raises:
            DataError: the dataset no longer has the cells that the run had.
        """
        manifest, table = self._manifest, self._table
        rows = manifest.rows(subset)
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, count).astype(int))]
        place = dict(zip(table.cell_id.tolist(), range(len(table)), strict=True))
        found = [place.get(name, -1) for name in manifest.cell_id[rows].tolist()]
        if -1 in found or (table.content[found] != manifest.content[rows]).any():
            raise DataError(f"dataset: '{table.name}' is not what the run was trained on: cells are missing or have changed.")
        return read_images(table, found), manifest.label[rows]


def read_images(table: CellTable, rows: Iterable[int]) -> list[np.ndarray]:
    """Returns the images of these rows at their own sizes; a DataError names one that cannot be read."""
    images = []
    for row in rows:
        try:
            images.append(table.source.read(int(row)))
        except BadImageError as error:
            raise DataError(f"dataset '{table.name}': {table.cell_id[row]}: {error}") from None
    return images


def cells_to_check(own: RunCells | UserError, count: int, rule: ResizeRule) -> CheckCells:
    """Returns validation cells of the run, or synthetic cells if the run's cannot be had.

    Args:
        own: the run's cells, or why they are not at hand.
        count: how many.
        rule: how the program resizes them.
    """
    try:
        if isinstance(own, UserError):
            raise own
        images, labels = own.take("val", count)
        return CheckCells.of(f"{len(images):,} validation cells of the run", images, labels, rule)
    except UserError as error:
        log.warning(f"check     with synthetic cells, as the run's own are not at hand: {error}")
        return synthetic_cells(count, rule)


def synthetic_cells(count: int, rule: ResizeRule) -> CheckCells:
    """Returns synthetic cells of both classes, resized by the rule too."""
    patients = -(-count // CELLS_PER_PATIENT) + 1
    table = build("dataset", "synthetic", {"infected_patients": patients, "healthy_patients": 0, "cells_per_patient": CELLS_PER_PATIENT})
    rows = np.linspace(0, len(table) - 1, min(count, len(table))).astype(int)
    return CheckCells.of(f"{len(rows):,} synthetic cells", read_images(table, rows.tolist()), table.label[rows], rule)
