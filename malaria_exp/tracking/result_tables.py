"""Tables, numbers and texts for loggers, made from an evaluation result."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from malaria_exp.data.cell_table import CLASS_NAMES
from malaria_exp.evaluation.evaluation_result import EvaluationResult
from malaria_exp.evaluation.summary import STAYED_SEALED, first_threshold, reported_subset, shown_cells
from malaria_exp.tracking.logger_interface import Table
from malaria_exp.utils.rows import Row

# Cells in the table of predictions.
TABLE_CELLS = 96
# Of the numbers of calibration, those that loggers are told.
CALIBRATION = ("slope", "intercept", "ece")


def predictions_table(result: EvaluationResult) -> Table:
    """Returns some cells of the reported subset with their pictures: half of them the worst errors, the others evenly spread over it."""
    subset = reported_subset(result.metrics)
    shown = result.predictions.select(subset)
    cells = next(cells for cells in result.cells if cells.subset == subset)
    wrong = np.abs(shown.score - shown.label)
    worst = np.argsort(-wrong, kind="stable")[: TABLE_CELLS // 2]
    others = np.setdiff1d(spread(np.arange(len(shown)), TABLE_CELLS // 2), worst)
    rows = np.concatenate([worst, others])
    columns = ("cell_id", "patient", "truth", "score", "error")
    values = [
        (
            str(shown.cell_id[row]),
            str(shown.patient[row]),
            CLASS_NAMES[shown.label[row]],
            float(shown.score[row]),
            float(wrong[row]),
        )
        for row in rows
    ]
    return Table(columns, values, cells.pixel_cache.take(cells.rows[rows]))


def final_numbers(metrics: Mapping[str, Any]) -> Row:
    """Returns the numbers of metrics.json by name: test/auc, test/auc_low, test/sensitivity, test/youden/sensitivity ...

    Rates without a threshold's name are at the first one. What is undefined is left out.
    """
    found: Row = {}
    first = first_threshold(metrics)

    def note(name: str, cell: Any) -> None:
        if isinstance(cell, Mapping):
            for key, ending in (("value", ""), ("low", "_low"), ("high", "_high")):
                note(name + ending, cell.get(key))
        elif isinstance(cell, int | float) and not isinstance(cell, bool):
            found[name] = float(cell)

    for subset, values in metrics["subsets"].items():
        for name, cell in values["ranking"].items():
            note(f"{subset}/{name}", cell)
        for name, cell in values.get("calibration", {}).items():
            if name in CALIBRATION:
                note(f"{subset}/calibration/{name}", cell)
        for threshold, cells in values["at"].items():
            for name, cell in cells.items():
                note(f"{subset}/{name}" if threshold == first else f"{subset}/{threshold}/{name}", cell)
    for name, value in metrics.get("training", {}).items():
        note(f"training/{name}", value)
    return found


def results_text(metrics: Mapping[str, Any]) -> str:
    """Returns the table of the reported subset in Markdown."""
    subset = reported_subset(metrics)
    first = first_threshold(metrics)
    lines = [
        f"| {subset}, threshold {first} = {metrics['thresholds'][first]['value']:.3g} | value |"
        f" {metrics['interval']['confidence']:.0%} interval over patients | effective patients |",
        "|---|---|---|---|",
    ]
    for name, cell in shown_cells(metrics, subset).items():
        if isinstance(cell, Mapping) and cell["value"] is not None:
            interval = "" if cell["low"] is None else f"{cell['low']:.4f} to {cell['high']:.4f}"
            worth = "" if cell["patients"] is None else f"{cell['patients']:.1f}"
            lines.append(f"| {name} | {cell['value']:.4f} | {interval} | {worth} |")
    if subset == "val":
        lines.append(f"\n{STAYED_SEALED}")
    return "\n".join(lines)


def spread(rows: np.ndarray, count: int) -> np.ndarray:
    """Returns up to `count` of the rows, evenly spread over them, as the cells of one patient stand next to each other."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)] if len(rows) else rows
