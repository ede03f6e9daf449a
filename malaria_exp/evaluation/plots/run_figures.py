"""The figures of a run's report."""

from typing import Any

import numpy as np

from malaria_exp.data.subsets import Cells
from malaria_exp.evaluation.evaluate import reported_subset
from malaria_exp.evaluation.evaluation_result import EvaluationResult
from malaria_exp.evaluation.plots import results
from malaria_exp.evaluation.predictions import Predictions


def draw_plots(result: EvaluationResult, *, seed: int, worst: int) -> dict[str, Any]:
    """Returns the report's figures by name, in the order they are shown."""
    metrics, leaky = result.metrics, result.leaky
    subset = reported_subset(metrics)
    part, shown = metrics["subsets"][subset], result.predictions.select(subset)
    thresholds = metrics["thresholds"]
    drawn = {
        f"confusion_matrix_{name}": results.confusion_matrix(shown.label, shown.score, value, name=name, leaky=leaky)
        for name, value in thresholds.items()
    }
    drawn["roc"] = results.roc(
        shown.label, shown.score, shown.patient, thresholds=thresholds, auc=part["ranking"]["auc"], seed=seed, leaky=leaky
    )
    drawn["precision_recall"] = results.precision_recall(
        shown.label, shown.score, thresholds=thresholds, average_precision=part["ranking"]["average_precision"], leaky=leaky
    )
    drawn["score_histogram"] = results.score_histogram(shown.label, shown.score, thresholds=thresholds, leaky=leaky)
    if result.history:
        drawn["training_curves"] = results.training_curves(
            result.history, monitor=result.monitor, best_epoch=result.best_epoch, leaky=leaky
        )
    drawn["per_patient"] = results.per_patient(part["per_patient"], leaky=leaky)
    cells = next(cells for cells in result.cells if cells.subset == subset)
    missed, alarms = results.worst(shown.label, shown.score, thresholds["half"], worst // 2)
    if len(missed) or len(alarms):
        drawn["worst_errors"] = results.worst_errors(_pictures(shown, cells, missed), _pictures(shown, cells, alarms), leaky=leaky)
    return drawn


def _pictures(shown: Predictions, cells: Cells, rows: np.ndarray) -> list[Any]:
    images = cells.pixel_cache.take(cells.rows[rows])
    return [
        results.ErrorCell(image, str(shown.cell_id[row]), str(shown.patient[row]), float(shown.score[row]))
        for image, row in zip(images, rows, strict=True)
    ]
