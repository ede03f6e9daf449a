"""The data report of a run as it is configured, without training."""

from typing import TYPE_CHECKING

import numpy as np

from malaria_exp.config.registry import build
from malaria_exp.config.run_config import Config

if TYPE_CHECKING:
    from malaria_exp.data.cell_table import CellTable
    from malaria_exp.data.pixel_cache import PixelCache
    from malaria_exp.data.subsets import Data
    from malaria_exp.runs.run_folder import RunFolder


def explore_data(config: Config, folder: "RunFolder", *, samples: int, others: bool) -> None:
    """Writes data_report.html and plots/.

    Args:
        config: of the run that the report is about.
        folder: of this task.
        samples: cells of each class in the grids of samples.
        others: augmentations that the run does not use are shown, too.
    """
    from malaria_exp.evaluation.reports.data_report.report import write_data_report
    from malaria_exp.runs.load_data import load_and_decode
    from malaria_exp.runs.write_results import write_excluded
    from malaria_exp.utils.tensorflow_setup import load_tensorflow

    load_tensorflow()
    # What cannot be built is said before anything is decoded.
    chain = [build("aug", choice.name, choice.params, path=choice.path) for choice in config.choices["aug"]]
    table, pixel_cache, excluded = load_and_decode(config, one_class=True)
    write_excluded(folder, excluded)
    data = _subsets(config, table, pixel_cache, folder)
    folder.facts |= write_data_report(folder.path, config, table, data, chain, excluded=len(excluded), samples=samples, others=others)


def _subsets(config: Config, table: "CellTable", pixel_cache: "PixelCache", folder: "RunFolder") -> "Data":
    """Splits the table as a run would; cells of a single class cannot be split, so all of them become training cells."""
    from malaria_exp.data.cell_table import CLASS_NAMES
    from malaria_exp.data.split_manifest import TABLE_COLUMNS, Manifest
    from malaria_exp.data.subsets import Data
    from malaria_exp.evaluation.reports.data_report.report import NO_SPLIT
    from malaria_exp.runs.load_data import split

    if len(np.unique(table.label)) == len(CLASS_NAMES):
        return split(config, table, pixel_cache, folder, None)
    columns = {name: getattr(table, name) for name in TABLE_COLUMNS}
    return Data(Manifest(protocol=NO_SPLIT, subset=np.full(len(table), "train"), **columns), pixel_cache)
