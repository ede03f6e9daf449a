"""The shortcut baseline of a run: fitted to the files of its training cells, beside the result on the reported subset."""

import numpy as np

from malaria_exp.config.run_config import Config
from malaria_exp.data.cell_table import CellTable
from malaria_exp.data.shortcut_features import shortcut_features
from malaria_exp.data.split_manifest import Manifest
from malaria_exp.evaluation.evaluation_result import EvaluationResult
from malaria_exp.evaluation.shortcuts import no_shortcuts, shortcut_entry, shortcut_scores
from malaria_exp.evaluation.summary import reported_subset
from malaria_exp.runs.evaluate_model import interval_settings


def add_shortcuts(config: Config, table: CellTable, manifest: Manifest, result: EvaluationResult) -> None:
    """Adds the baseline's scores of all cells of a result, and its AUC on the reported subset; or why there is none.

    Args:
        config: the configuration.
        table: the cells.
        manifest: their split, row by row; without training cells there is no baseline.
        result: that is added to.
    """
    shown, train = reported_subset(result.metrics), manifest.rows("train")
    part = result.metrics["subsets"][shown]
    if not len(train):
        part["shortcut"] = no_shortcuts("the files of the training cells are not at hand")
        return
    features = shortcut_features(table)
    if features.reason:
        part["shortcut"] = no_shortcuts(features.reason)
        return
    rows = np.concatenate([cells.rows for cells in result.cells])
    result.shortcut_scores = shortcut_scores(features.values, table.label, train, rows, config.seed)
    own = result.predictions.subset == shown
    cells = result.predictions.at(own)
    part["shortcut"] = shortcut_entry(cells.label, result.shortcut_scores[own], cells.patient, features.names, **interval_settings(config))
