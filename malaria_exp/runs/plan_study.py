"""Plans a study from the files of a finished run: plan_study.csv, and sentences."""

from pathlib import Path

import numpy as np
from rich import box
from rich.table import Table

from malaria_exp.config.run_config import Config
from malaria_exp.data.cell_table import UNKNOWN
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.study_plan import (
    WHO,
    Measured,
    independent_difference,
    measure,
    patients_for_difference,
    patients_for_width,
)
from malaria_exp.evaluation.summary import first_threshold, reported_subset
from malaria_exp.runs.read_files import read_metrics, read_predictions
from malaria_exp.runs.remote_runs import local_run
from malaria_exp.utils.atomic_files import write_csv, write_text
from malaria_exp.utils.errors import ConfigError, RunFolderError
from malaria_exp.utils.progress_bars import console
from malaria_exp.utils.terminal_log import RESULT, log

HEADER = ("metric", "cells", "design_effect", "patients_for_width", "patients_for_difference")
TABLE, TEXT = "plan_study.csv", "plan_study.md"


def write_plan(config: Config, folder: Path, *, width: float, difference: float, power: float, cells: list[int], other: str | None) -> None:
    """Writes and prints the plan.

    Args:
        config: its `run` is what the plan rests on, `evaluation.confidence` the level of intervals and tests.
        folder: that is written to.
        width: of an interval, in (0, 1).
        difference: of two models, in (0, 1).
        power: of finding it, in (0, 1).
        cells: of a class and patient.
        other: the run of another model; None without one.

    Raises:
        ConfigError: no run is given, or no number of cells.
        RunFolderError: a run is damaged, its patients are not known, or the other one has other cells.
    """
    if config.run is None:
        raise ConfigError("run: missing; task=plan_study needs the folder of a finished run or of a pooled result: run=outputs/...")
    if not cells:
        raise ConfigError("task.cells: expected at least one number of cells. Received: an empty list.")
    tested, predicted = _tested(config, config.run)
    second = None if other is None else _same_cells(tested, *_tested(config, other), other)
    alone = measure(tested, predicted)
    between = measure(tested, predicted, second) if second else alone
    confidence = config.evaluation.confidence
    rows, sentences = [], []
    for metric, found in alone.items():
        if isinstance(found, str):
            sentences.append(f"{metric}: no plan; {found}.")
            continue
        pair = between[metric]
        change = pair if second else independent_difference(found)
        own = [
            (
                metric,
                number,
                round(found.design_effect(number), 2),
                patients_for_width(found, width, number, confidence),
                None if isinstance(change, str) else patients_for_difference(change, difference, number, power, confidence),
            )
            for number in sorted(set(cells))
        ]
        rows += own
        sentences.append(_sentence(found, own, width, difference, power, confidence, measured=second is not None))
    if not rows:
        raise RunFolderError(f"run: '{config.run}' tells nothing to plan by: {' '.join(sentences)}")
    write_csv(folder / TABLE, HEADER, rows)
    write_text(folder / TEXT, "\n\n".join(sentences) + "\n")
    table = Table(title=f"patients for an interval of width {width:g}, and for a difference of {difference:g}", box=box.SIMPLE_HEAD)
    for head in ("metric", "cells a patient", "design effect", "for the width", "for the difference"):
        table.add_column(head, justify="left" if head == "metric" else "right")
    for metric, number, effect, *patients in rows:
        table.add_row(metric, f"{number:,}", f"{effect:.1f}", *(_patients(found) for found in patients))
    console().print(table)
    for sentence in sentences:
        log.log(RESULT, sentence)
    log.log(RESULT, f"plan      {folder / TABLE}, {TEXT}")


def _tested(config: Config, run: str) -> tuple[Predictions, np.ndarray]:
    """Returns the cells of the reported subset, and what is predicted at the first threshold."""
    path = Path(local_run(run, config.cache.path))
    metrics = read_metrics(path)
    cells = read_predictions(path).select(reported_subset(metrics))
    if UNKNOWN in cells.patient:
        raise RunFolderError(f"run: the patients of '{run}' are not known, so nothing is known of how much patients differ.")
    return cells, cells.score >= metrics["thresholds"][first_threshold(metrics)]["value"]


def _same_cells(tested: Predictions, cells: Predictions, predicted: np.ndarray, other: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the other run's scores and predictions in the order of the first run's cells."""
    place = {name: row for row, name in enumerate(cells.cell_id.tolist())}
    if place.keys() != set(tested.cell_id.tolist()):
        raise RunFolderError(f"task.other: '{other}' was tested on other cells than the run; a difference needs the same.")
    rows = np.array([place[name] for name in tested.cell_id.tolist()])
    return cells.score[rows], predicted[rows]


def _patients(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _sentence(
    found: Measured, rows: list[tuple], width: float, difference: float, power: float, confidence: float, *, measured: bool
) -> str:
    """Returns what the plan says of a metric: of the number of cells in the middle of the table, and of the largest."""
    middle, last = rows[len(rows) // 2], rows[-1]
    cells = middle[1]
    who = WHO[found.metric].format(f"{cells:,}", f"{cells:,}")
    text = f"{found.metric}, {found.value:.3f} in this run: {cells:,} cells of a patient tell as much as {cells / middle[2]:.1f} of different patients."
    if middle[3] is None:
        return f"{text} No number of patients that a study could have gives an interval {width:g} wide."
    text += f" A {confidence:.0%} interval {width:g} wide needs {middle[3]:,} {who}"
    if last is not middle and last[3] is not None:
        text += f"; with {last[1]:,} cells each it still needs {last[3]:,}"
    how = "as measured with the other run" if measured else "if both err independently of each other"
    if middle[4] is None:
        return f"{text}. No difference of {difference:g} can be found."
    return (
        f"{text}. To find a difference of {difference:g} between two models with a power of {power:.0%}, {middle[4]:,} are needed, {how}."
    )
