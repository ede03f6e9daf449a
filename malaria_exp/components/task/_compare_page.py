"""The page of a comparison: one HTML file that loads nothing from anywhere, and whose tables sort in the browser.

All that comes from runs (names, values, reasons) may hold anything; it is escaped.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from malaria_exp.components.task._compare_read import RESULTS, ComparedRun
from malaria_exp.components.task._compare_table import ABSENT, Column, Configuration, letters_of_test_sets, shorten, spreads, text_of
from malaria_exp.evaluation.metrics import METRICS
from malaria_exp.evaluation.reports.table_page import Cell, Head, number_cell, shown_figure
from malaria_exp.evaluation.reports.templates import template
from malaria_exp.utils.atomic_files import write_text

TEMPLATE = "comparison.html.j2"
LONGEST_VALUE = 48


@dataclass
class Page:
    """What the page says.

    Attributes:
        title: of the page.
        created: when, as text.
        notes: sentences of caution.
        leaky: whether every run with results is; stamps the page.
        run_heads: of the table of runs.
        run_rows: a row a run, and what the filter matches exactly ("model=cellnet").
        seed_heads: of the table of configurations; empty if no two runs differ in their seeds alone.
        seed_rows: a row a configuration, and nothing, as there is no filter.
        figures: (title, caption, PNG bytes).
        unfinished: (run, status, overrides, reason).
        same: (key, value) of what all runs have in common.
        follows: (key, [(values of the choice, value)]) of what the choice of an option decides.
    """

    title: str
    created: str
    notes: list[str]
    leaky: bool
    run_heads: list[Head] = field(default_factory=list)
    run_rows: list[tuple[list[Cell], list[str]]] = field(default_factory=list)
    seed_heads: list[Head] = field(default_factory=list)
    seed_rows: list[tuple[list[Cell], list[str]]] = field(default_factory=list)
    figures: list[tuple[str, str, bytes]] = field(default_factory=list)
    unfinished: list[tuple[str, str, str, str]] = field(default_factory=list)
    same: list[tuple[str, str]] = field(default_factory=list)
    follows: list[tuple[str, str]] = field(default_factory=list)


def write_page(path: Path, page: Page) -> Path:
    """Writes the page, all or nothing; equal pages give equal bytes.

    Returns:
        The path written.
    """
    return write_text(path, template(TEMPLATE).render(page=page, figures=[shown_figure(*figure) for figure in page.figures]))


def fill_runs(page: Page, runs: Sequence[ComparedRun], columns: Sequence[Column], folder: Path) -> None:
    """Adds the table of runs: name with a link to the report, status, what differs, and results with their intervals."""
    own = [column for column in columns if column.follows is None]
    letters = letters_of_test_sets(runs)
    page.run_heads = [Head("run", number=False), Head("status", number=False)]
    page.run_heads += [Head(column.key, number=column.kind == "number") for column in own]
    page.run_heads += [Head("test set", number=False, title="Runs of one letter were tested on the same cells.")] if letters else []
    page.run_heads += [
        Head("best epoch"),
        Head("val monitor", largest_first=True, title="The validation metric that chose the epoch, at its best."),
    ]
    page.run_heads += [Head(METRICS[name].label, largest_first=True, title=METRICS[name].help) for name in RESULTS]
    page.run_heads += [Head("seconds", title="Of the whole run."), Head("parameters")]
    for index, run in enumerate(runs):
        cells = [
            Cell(run.name, run.name, link=report_link(run, folder), title=str(run.path), leaky=run.leaky),
            Cell(run.status, run.status),
        ]
        cells += [_value_cell(column, column.values[index]) for column in own]
        cells += [Cell(letters.get(run.test_set or "", "?" if run.done else ""), letters.get(run.test_set or ""))] if letters else []
        cells += [number_cell(run.best_epoch, "d"), number_cell(run.objective, ".4f", small=run.monitor or "")]
        for name in RESULTS:
            value, low, high = run.results.get(name, (None, None, None))
            interval = "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
            cells.append(number_cell(value, ".4f", small=interval, undefined=run.done))
        cells += [number_cell(run.seconds, ",.1f"), number_cell(run.parameters, ",d")]
        exact = [f"{column.key}={text_of(column.values[index])}" for column in columns if column.values[index] is not ABSENT]
        page.run_rows.append((cells, [*exact, f"status={run.status}", f"leaky={str(run.leaky).lower()}"]))


def fill_seeds(page: Page, configurations: Sequence[Configuration]) -> None:
    """Adds the table of configurations: number of seeds, and of each result mean, deviation, smallest and largest."""
    if all(len(one.runs) == 1 for one in configurations):
        return
    page.seed_heads = [Head("configuration", number=False), Head("seeds", title="Runs with results that differ in their seeds alone.")]
    page.seed_heads += [Head(METRICS[name].label, largest_first=True, title=METRICS[name].help) for name in RESULTS]
    for one in configurations:
        if not one.runs[0].config:
            continue
        failed = len(one.runs) - len(one.done)
        cells = [
            Cell(one.label, one.label, leaky=one.leaky),
            Cell(str(len(one.done)), float(len(one.done)), small=f"{failed} without results" if failed else ""),
        ]
        for spread in spreads(one).values():
            if spread.mean is None:
                cells.append(Cell(""))
                continue
            deviation = "" if spread.deviation is None else f" ± {spread.deviation:.4f}"
            span = f"{spread.low:.4f} to {spread.high:.4f}" if spread.n > 1 else ""
            of = f"n = {spread.n}" if spread.n != len(one.done) else ""
            cells.append(Cell(f"{spread.mean:.4f}{deviation}", spread.mean, small=": ".join(filter(None, (of, span)))))
        page.seed_rows.append((cells, []))


def fill_configuration(page: Page, runs: Sequence[ComparedRun], columns: Sequence[Column], same: dict[str, Any]) -> None:
    """Adds the folded tables: what is the same in all runs, and what follows from the choice of an option; and the runs without results."""
    page.same = [(key, text_of(value)) for key, value in same.items()]
    for column in columns:
        if column.follows is None:
            continue
        values = {
            text_of(run.config[column.follows]): text_of(value)
            for run, value in zip(runs, column.values, strict=True)
            if value is not ABSENT and column.follows in run.config
        }
        page.follows.append((column.key, "\n".join(f"{choice or 'none'}: {value}" for choice, value in values.items())))
    page.unfinished = [(run.name, run.status, run.overrides, run.reason) for run in runs if not run.done]


def report_link(run: ComparedRun, folder: Path) -> str:
    """Returns the address of the run's report as seen from the page; empty without one. It moves with the outputs' folder."""
    report = run.path / "report.html"
    if not report.is_file():
        return ""
    try:
        return quote(Path(os.path.relpath(report.resolve(), folder.resolve())).as_posix())
    except ValueError:
        # On another drive of Windows.
        return report.resolve().as_uri()


def _value_cell(column: Column, value: Any) -> Cell:
    if value is ABSENT:
        return Cell("")
    text = text_of(value)
    shown = shorten(text, LONGEST_VALUE)
    sort = value if column.kind == "number" else text
    return Cell(shown, sort, title=text if shown != text else "")
