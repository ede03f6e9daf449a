"""The table that ends a run on the terminal: the metrics on patients that the model never saw."""

from collections.abc import Mapping
from typing import Any

from malaria_exp.data.cell_table import of_patients
from malaria_exp.evaluation.intervals.interval_interface import PATIENTS_UNKNOWN
from malaria_exp.evaluation.reports.templates import number
from malaria_exp.evaluation.shortcuts import shortcut_line
from malaria_exp.evaluation.summary import STAYED_SEALED, reported_subset

RATES = ("sensitivity", "specificity", "ppv", "npv", "accuracy", "f1")
RANKING = ("auc", "average_precision", "brier")


def results_table(metrics: Mapping[str, Any], *, leaky: bool = False) -> str:
    """Returns the metrics of the reported subset with their intervals as lines of plain text, below a line on the validation cells.

    Args:
        metrics: as `malaria_exp.evaluation.evaluate.evaluate` returns it.
        leaky: whether training and evaluation share patients or images; said in the first line.
    """
    subset = reported_subset(metrics)
    part = metrics["subsets"][subset]
    counted = part["counted"]
    known = part["no_interval"] != PATIENTS_UNKNOWN
    heads = ["", *(f"{name} = {at['threshold']:.3g}" for name, at in part["at"].items())]
    rows = [[name, *(_cell(at[name]) for at in part["at"].values())] for name in RATES]
    rows += [[name, _cell(part["ranking"][name]), *[""] * (len(heads) - 2)] for name in RANKING]
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads))]
    lines = [f"{subset:<9} {counted['cells']:,} cells {of_patients(counted, known=known)}{'  LEAKY' if leaky else ''}"]
    lines += ["  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in [heads, *rows]]
    lines += [
        f"  {name} keeps its promise ({threshold['promise']}) on left-out validation patients in {threshold['chance']:.0%} of resamples"
        for name, threshold in metrics["thresholds"].items()
        if threshold["chance"] is not None
    ]
    if reason := part.get("no_interval"):
        lines.append(f"  no intervals: {reason}")
    else:
        lines.append(
            f"  in brackets: {metrics['interval']['confidence']:.0%} interval over patients{_worth(next(iter(part['at'].values())))}"
        )
    if "shortcut" in part:
        lines.append(f"  shortcut  {shortcut_line(part['shortcut'])}")
    return "\n".join([*_validation(metrics, reported=subset, stamp="  LEAKY" if leaky else ""), *lines])


def _validation(metrics: Mapping[str, Any], *, reported: str, stamp: str) -> list[str]:
    """Returns a line on the validation cells, which come first; or, if the table is about them, that the test subset stayed sealed."""
    if reported == "val":
        return [f"sealed    {STAYED_SEALED}"]
    if "val" not in metrics["subsets"]:
        return []
    part = metrics["subsets"]["val"]
    at = next(iter(part["at"].values()))
    cells = {"auc": part["ranking"]["auc"], "sensitivity": at["sensitivity"], "specificity": at["specificity"]}
    values = ", ".join(f"{name} {number(cell['value'])}" for name, cell in cells.items())
    return [f"val       {values} at {at['threshold']:.3g}; epoch and threshold were chosen on these cells{stamp}"]


def _worth(at: Mapping[str, Any]) -> str:
    """Returns how many patients with equally many cells would tell as much, for the rates that have an interval."""
    found = [f"{at[name]['patients']:.1f} for {name}" for name in ("sensitivity", "specificity") if at[name]["patients"]]
    return f"; effective number of patients: {', '.join(found)}" if found else ""


def _cell(cell: Mapping[str, Any]) -> str:
    if cell["value"] is None:
        return "undefined"
    return f"{cell['value']:.4f}" + ("" if cell["low"] is None else f" ({cell['low']:.3f} to {cell['high']:.3f})")
