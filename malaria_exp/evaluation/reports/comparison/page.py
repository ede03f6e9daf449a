"""What the page of a comparison shows: cautions, the tables of runs and of configurations, and what options decide."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from malaria_exp.evaluation.metrics import METRICS
from malaria_exp.evaluation.reports.comparison.compared_run import NOTHING, RESULTS, ComparedRun, shared_subset
from malaria_exp.evaluation.reports.comparison.configurations import ABSENT, Column, Configuration, Spread, shorten, text_of
from malaria_exp.evaluation.reports.page_elements import Cell, Head, Row, SortableTable, number_cell

LONGEST_VALUE = 48


def _result_heads(runs: Sequence[ComparedRun]) -> list[Head]:
    subset = shared_subset(runs)
    return [Head(f"{subset} {METRICS[name].label}".strip(), largest_first=True, title=METRICS[name].help) for name in RESULTS]


def cautions(runs: Sequence[ComparedRun], groups: Sequence[Configuration]) -> list[str]:
    """Returns what a reader must know before comparing the numbers.

    Args:
        runs: all of them.
        groups: the same, as configurations.
    """
    done = [run for run in runs if run.done]
    notes = []
    # Folds are tested on different cells by their nature.
    folds = {text_of(run.config.get("split.fold", ABSENT)) for run in done}
    sets = max(({run.test_set for run in done if text_of(run.config.get("split.fold", ABSENT)) == fold} for fold in folds), key=len)
    if len(sets) > 1:
        what = f"{len(sets)} different sets of cells" if None not in sets else "cells that are not all known to be the same"
        notes.append(
            f"These runs were tested on {what}: their numbers are not comparable cell by cell. A difference between two rows may be one between"
            " the cells; what is tested for a difference are cells that both scored. The column 'test set' says which runs share theirs."
        )
    sealed = [run.name for run in done if run.subset == "val"]
    if sealed:
        whose = (
            "All runs"
            if len(sealed) == len(done)
            else f"{len(sealed)} of {len(done)} runs ({', '.join(sealed[:8])}{' ...' if len(sealed) > 8 else ''})"
        )
        notes.append(
            f"{whose} left the test subset sealed: their numbers are of validation patients, by whom epoch and threshold were chosen, and too good."
            " Differences are tested on VALIDATION cells, of all runs: good for choosing, no result."
        )
    if leaky := sum(run.leaky for run in done):
        notes.append(
            f"LEAKY, {leaky} of {len(done)} runs: patients or images stood in training and in test."
            " Their numbers are too high; do not compare them with the others."
        )
    if len({run.monitor for run in done} - {None}) > 1:
        notes.append("The runs chose their epochs by different metrics; the column 'val monitor' holds different things.")
    if repeated := [run.name for group in groups for run in group.repeated]:
        more = " ..." if len(repeated) > 8 else ""
        notes.append(
            f"Repeated runs: {', '.join(repeated[:8])}{more}. Another of the same configuration, seed and test cells comes before each;"
            " in means, ranges and numbers of seeds only that one counts."
        )
    if missing := len(runs) - len(done):
        notes.append(f"Without results: {missing} of {len(runs)} runs. They are listed below, with the reason.")
    return notes


def runs_table(runs: Sequence[ComparedRun], columns: Sequence[Column], folder: Path) -> SortableTable:
    """Returns a row a run: name with a link to the report, status, results with their intervals, and what differs."""
    own = [column for column in columns if column.follows is None]
    letters, shared = _letters_of_test_sets(runs), shared_subset(runs)
    heads = [Head("run", number=False), Head("status", number=False)]
    heads += [Head("test set", number=False, title="Runs of one letter were tested on the same cells.")] if letters else []
    heads += [Head("best epoch"), Head("val monitor", largest_first=True, title="The validation metric that chose the epoch, at its best.")]
    heads += [*_result_heads(runs), Head("seconds", title="Of the whole run."), Head("parameters")]
    # Last, as they may be many: the results stand where they are seen.
    heads += [Head(column.key, number=column.numeric, setting=True) for column in own]
    rows = []
    for index, run in enumerate(runs):
        cells = [
            Cell(run.name, run.name, link=report_link(run, folder), title=str(run.path), leaky=run.leaky),
            Cell(run.status if shared or not run.done else f"{run.status}, {run.subset}", run.status),
        ]
        cells += [Cell(letters.get(run.test_set or "", "?" if run.done else ""), letters.get(run.test_set or ""))] if letters else []
        cells += [number_cell(run.best_epoch, "d"), number_cell(run.objective, ".4f", small=run.monitor or "")]
        for name in RESULTS:
            value, low, high = run.results.get(name, NOTHING)
            interval = "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
            cells.append(number_cell(value, ".4f", small=interval, undefined=run.done))
        cells += [number_cell(run.seconds, ",.1f"), number_cell(run.parameters, ",d")]
        cells += [_value_cell(column, column.values[index]) for column in own]
        exact = [f"{column.key}={text_of(column.values[index])}" for column in columns if column.values[index] is not ABSENT]
        rows.append(Row(cells, [*exact, f"status={run.status}", f"leaky={str(run.leaky).lower()}"]))
    return SortableTable(heads, rows)


def configurations_table(groups: Sequence[Configuration]) -> SortableTable | None:
    """Returns a row a configuration: number of runs, and of each result mean, deviation, smallest and largest.

    None if no two runs differ in their seeds or folds alone.
    """
    if all(len(group.runs) == 1 for group in groups):
        return None
    heads = [Head("configuration", number=False), Head("runs", title="Runs with results that differ in their seeds or folds alone.")]
    heads += _result_heads([run for group in groups for run in group.runs])
    rows = []
    for group in groups:
        if not group.runs[0].config:
            continue
        failed = sum(not run.done for run in group.runs)
        seeds = number_cell(len(group.done), "d", small=f"{failed} without results" if failed else "")
        results = [_spread_cell(group.spread(name), len(group.done)) for name in RESULTS]
        rows.append(Row([Cell(group.label, group.label, leaky=group.leaky), seeds, *results]))
    return SortableTable(heads, rows)


def decided_by_options(runs: Sequence[ComparedRun], columns: Sequence[Column]) -> list[tuple[str, str]]:
    """Returns (key, a line "choice: value" for each choice) of the keys whose values follow from the choice of an option."""
    decided = []
    for column in columns:
        if column.follows is None:
            continue
        values = {
            text_of(run.config[column.follows]): text_of(value)
            for run, value in zip(runs, column.values, strict=True)
            if value is not ABSENT and column.follows in run.config
        }
        decided.append((column.key, "\n".join(f"{choice or 'none'}: {value}" for choice, value in values.items())))
    return decided


def _letters_of_test_sets(runs: Sequence[ComparedRun]) -> dict[str, str]:
    """Returns a short name for each set of test cells, A the first run's; empty if all share one."""
    sets = list(dict.fromkeys(run.test_set for run in runs if run.done and run.test_set))
    several = len(sets) > 1 or (any(run.done and run.test_set is None for run in runs) and sets)
    return {one: chr(65 + i % 26) + str(i // 26 or "") for i, one in enumerate(sets)} if several else {}


def report_link(run: ComparedRun, folder: Path) -> str:
    """Returns the relative address of the run's report as seen from the folder, so that outputs/ may move; empty without one."""
    return relative_link(run.path / "report.html", folder)


def relative_link(page: Path, folder: Path) -> str:
    """Returns the relative address of a page as seen from the folder; empty if there is no such file."""
    if not page.is_file():
        return ""
    try:
        return quote(Path(os.path.relpath(page.resolve(), folder.resolve())).as_posix())
    except ValueError:
        # On another drive of Windows.
        return page.resolve().as_uri()


def _value_cell(column: Column, value: Any) -> Cell:
    if value is ABSENT:
        return Cell("")
    text = text_of(value)
    shown = shorten(text, LONGEST_VALUE)
    return Cell(shown, value if column.numeric else text, title=text if shown != text else "")


def _spread_cell(spread: Spread, seeds: int) -> Cell:
    if spread.mean is None:
        return Cell("")
    deviation = "" if spread.deviation is None else f" ± {spread.deviation:.4f}"
    span = f"{spread.low:.4f} to {spread.high:.4f}" if spread.n > 1 else ""
    of = f"n = {spread.n}" if spread.n != seeds else ""
    return Cell(f"{spread.mean:.4f}{deviation}", spread.mean, small=": ".join(filter(None, (of, span))))
