"""The figures of a run's report."""

import numpy as np

from malaria_exp.data.subsets import Cells
from malaria_exp.evaluation.evaluation_result import EvaluationResult
from malaria_exp.evaluation.intervals.interval_interface import PATIENTS_UNKNOWN
from malaria_exp.evaluation.plots.patient_level import patient_agreement, patient_detection, predictive_value_curves
from malaria_exp.evaluation.plots.patients import ErrorCell, per_patient, worst, worst_errors
from malaria_exp.evaluation.plots.reliability import reliability
from malaria_exp.evaluation.plots.results import confusion_matrix, precision_recall, roc, score_histogram
from malaria_exp.evaluation.plots.style import png_bytes
from malaria_exp.evaluation.plots.training import training_curves
from malaria_exp.evaluation.plots.usefulness import decision_curves, risk_coverage_curve, subgroup_intervals
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.summary import first_threshold, reported_subset


def draw_plots(result: EvaluationResult, *, errors: int) -> dict[str, bytes]:
    """Returns the report's figures as PNG by name, in the order they are shown.

    Args:
        result: what is drawn.
        errors: most cells among the worst errors, half of them misses.
    """
    metrics, leaky = result.metrics, result.leaky
    subset = reported_subset(metrics)
    part, shown = metrics["subsets"][subset], result.predictions.select(subset)
    values = {name: threshold["value"] for name, threshold in metrics["thresholds"].items()} | result.own_thresholds
    thresholds = {name: value for name, value in values.items() if name not in result.own_thresholds}
    first = first_threshold(metrics)
    figures = {
        f"confusion_matrix_{name}": confusion_matrix(shown.label, shown.score, value, name=name, leaky=leaky)
        for name, value in values.items()
    }
    figures["roc"] = roc(shown.label, shown.score, shown.patient, thresholds=thresholds, auc=part["ranking"]["auc"], leaky=leaky)
    figures["precision_recall"] = precision_recall(
        shown.label, shown.score, thresholds=thresholds, average_precision=part["ranking"]["average_precision"], leaky=leaky
    )
    figures["reliability"] = reliability(shown.score, part["calibration"], leaky=leaky)
    figures["score_histogram"] = score_histogram(shown.label, shown.score, thresholds=thresholds, leaky=leaky)
    if result.history:
        figures["training_curves"] = training_curves(result.history, monitor=result.monitor, best_epoch=result.best_epoch, leaky=leaky)
    figures["per_patient"] = per_patient(part["per_patient"], threshold=first, leaky=leaky)
    if part["patient_level"]:
        figures["patient_detection"] = patient_detection(part["patient_level"], leaky=leaky)
        figures["patient_agreement"] = patient_agreement(part["patient_level"], leaky=leaky)
        figures["predictive_values"] = predictive_value_curves(part["at"][first], threshold=first, leaky=leaky)
    if part.get("subgroups"):
        figures["subgroups"] = subgroup_intervals(part["subgroups"], part["at"][first], leaky=leaky)
    if "risk_coverage" in part:
        figures["risk_coverage"] = risk_coverage_curve(shown.label, shown.score, values[first], part["risk_coverage"], leaky=leaky)
        known = None if part["no_interval"] == PATIENTS_UNKNOWN else shown.patient
        figures["decision_curve"] = decision_curves(
            shown.label, shown.score, known, confidence=metrics["interval"]["confidence"], leaky=leaky
        )
    missed, alarms = worst(shown.label, shown.score, values[first], errors // 2)
    # Joined runs have scores, but no pictures.
    cells = next((cells for cells in result.cells if cells.subset == subset), None)
    if cells and (len(missed) or len(alarms)):
        figures["worst_errors"] = worst_errors(_pictures(shown, cells, missed), _pictures(shown, cells, alarms), leaky=leaky)
    return {name: png_bytes(figure) for name, figure in figures.items()}


def _pictures(shown: Predictions, cells: Cells, rows: np.ndarray) -> list[ErrorCell]:
    images = cells.pixel_cache.take(cells.rows[rows])
    return [
        ErrorCell(image, str(shown.cell_id[row]), str(shown.patient[row]), float(shown.score[row]))
        for image, row in zip(images, rows, strict=True)
    ]
