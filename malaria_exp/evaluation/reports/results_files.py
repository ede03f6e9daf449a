"""The table of results of one or several configurations, for a paper: CSV, Markdown and LaTeX, and the terminal's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from malaria_exp.evaluation.metrics import METRICS
from malaria_exp.evaluation.reports.templates import interval, number
from malaria_exp.evaluation.summary import reported_subset, shown_cells
from malaria_exp.utils.atomic_files import write_csv, write_text

# What the terminal shows of each configuration.
SHOWN = ("auc", "sensitivity", "specificity", "accuracy")
LATEX = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "\n": " ",
    "\r": " ",
}
MARKDOWN = {character: f"\\{character}" for character in "\\|*_`[]<>#"} | {"\n": " ", "\r": " "}


@dataclass(frozen=True)
class Result:
    """The metrics of a configuration.

    Attributes:
        label: of the configuration; it may hold anything.
        runs: what they are of, such as "5 folds".
        metrics: as in metrics.json.
        folder: where its report is.
        leaky: training and test share patients or images.
    """

    label: str
    runs: str
    metrics: Mapping[str, Any]
    folder: Path
    leaky: bool = False

    @property
    def name(self) -> str:
        """The label, stamped if it is leaky."""
        return f"LEAKY {self.label}" if self.leaky else self.label

    def rows(self) -> list[tuple[str, str, Mapping[str, Any]]]:
        """Returns (metric, threshold or "", cell) of every metric, those without a threshold first."""
        part = self.metrics["subsets"][reported_subset(self.metrics)]
        found = [(name, "", cell) for name, cell in part["ranking"].items()]
        return found + [(name, key, at[name]) for key, at in part["at"].items() for name in METRICS if name in at]


def write_tables(folder: Path, results: Sequence[Result]) -> list[str]:
    """Writes table.csv, table.md and table.tex, a row a metric of each configuration, and returns their names."""
    header = ["configuration", "runs", "leaky", "metric", "threshold", "value", "low", "high", "sd", "patients", "confidence", "method"]
    rows = []
    for one in results:
        used = one.metrics["interval"]
        for metric, threshold, cell in one.rows():
            row = [one.label, one.runs, str(one.leaky).lower(), metric, threshold]
            rows.append([*row, *(cell.get(key) for key in header[5:10]), used["confidence"], used["method"]])
    write_csv(folder / "table.csv", header, rows)
    heads, lines = _texts(results)
    write_text(folder / "table.md", _markdown(heads, lines, results))
    write_text(folder / "table.tex", _latex(heads, lines, results))
    return ["table.csv", "table.md", "table.tex"]


def _texts(results: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """Returns heads and rows as text; columns in which nothing stands are left out."""
    level = f"{results[0].metrics['interval']['confidence'] * 100:g}% interval"
    heads = ["Configuration", "Metric", "Threshold", "Value", level, "SD"]
    lines = []
    for one in results:
        for metric, threshold, cell in one.rows():
            deviation = "" if cell.get("sd") is None else number(cell["sd"])
            lines.append([one.name, METRICS[metric].label, threshold, number(cell["value"]), interval(cell), deviation])
    kept = [place for place in range(len(heads)) if any(line[place] for line in lines) and (place or len(results) > 1)]
    return [heads[place] for place in kept], [[line[place] for place in kept] for line in lines]


def _caption(one: Result) -> str:
    counted = one.metrics["subsets"][reported_subset(one.metrics)]["counted"]
    return f"{one.name}: {one.runs}, {counted['cells']:,} cells of {counted['patients']:,} patients. Intervals: {one.metrics['interval']['method']}."


def _markdown(heads: list[str], lines: list[list[str]], results: Sequence[Result]) -> str:
    rows = [[_escaped(text, MARKDOWN) for text in line] for line in (heads, *lines)]
    table = ["| " + " | ".join(row) + " |" for row in rows]
    table.insert(1, "|" + "---|" * len(heads))
    return "\n".join([*table, "", *(_escaped(_caption(one), MARKDOWN) + "\n" for one in results)])


def _latex(heads: list[str], lines: list[list[str]], results: Sequence[Result]) -> str:
    rows = [" & ".join(_escaped(text, LATEX) for text in line) + r" \\" for line in (heads, *lines)]
    columns = "".join("r" if head in ("Value", "SD") else "l" for head in heads)
    parts = [f"\\begin{{tabular}}{{{columns}}}", r"\hline", rows[0], r"\hline", *rows[1:], r"\hline", r"\end{tabular}"]
    captions = [f"% {_escaped(_caption(one), LATEX)}" for one in results]
    return "\n".join([*captions, *parts, ""])


def _escaped(text: str, table: Mapping[str, str]) -> str:
    return "".join(table.get(character, character) for character in text)


def terminal_table(results: Sequence[Result]) -> Table:
    """Returns a row a configuration: what it is of, and the headline's metrics with their intervals."""
    table = Table(title="pooled, test", box=box.SIMPLE_HEAD, title_justify="left", show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("configuration", overflow="fold", min_width=16)
    table.add_column("runs", no_wrap=True)
    for name in SHOWN:
        table.add_column(name, justify="right")
    for one in results:
        cells = shown_cells(one.metrics, reported_subset(one.metrics))
        texts = [f"{number(cells[name]['value'], 4)}\n{interval(cells[name]).replace(' to ', '-')}".rstrip() for name in SHOWN]
        table.add_row(escape(one.name.replace(", ", "\n")), one.runs, *texts)
    return table
