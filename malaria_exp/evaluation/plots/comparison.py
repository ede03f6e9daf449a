"""The plots of comparing runs: the histories of many trainings in one figure."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from malaria_exp.evaluation.metrics import METRICS
from malaria_exp.evaluation.plots.style import BLUE, GREEN, LIGHT_GRAY, ORANGE, PURPLE, SKY, TEXT, VERMILLION, count_axis, dress, new_figure

# A line style for each round of the colors, so that twelve series differ also in gray.
STYLES = tuple((color, line) for line, color in product(("-", (0, (4, 1.5))), (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY)))
MOST_COLORED = len(STYLES)
# Of more series than can be told apart, so many of the best are colored, before all others in gray.
COLORED_OF_MANY = 6
COLUMNS = ("loss", "val_loss", "val_auc")
ACROSS = 3
# A loss that spans more than this is drawn on a logarithmic axis: one run that diverges must not flatten the rest.
WIDE_RANGE = 30.0
# Width of a letter in the legend, a wide one among them.
LETTER_INCHES = 0.075

Rows = Sequence[Mapping[str, float]]


@dataclass(frozen=True)
class Series:
    """Trainings that are one thing in a plot: the seeds of a configuration, or one run.

    Attributes:
        label: for the legend.
        histories: of each training, a row an epoch: "epoch" and other columns, nan where there is no number.
        colored: whether it stands out; one that does not is a thin gray line without a label.
    """

    label: str
    histories: Sequence[Rows]
    colored: bool = True


def columns_of(series: Sequence[Series], monitors: Sequence[str]) -> list[str]:
    """Returns what can be drawn: losses, validation AUC, the monitors and the learning rate, each with a number in some history."""
    rows = [row for one in series for history in one.histories for row in history]
    wanted = dict.fromkeys((*COLUMNS, *monitors, "learning_rate"))
    return [column for column in wanted if any(math.isfinite(row.get(column, math.nan)) for row in rows)]


def compare_curves(series: Sequence[Series], columns: Sequence[str], *, each: bool = False, leaky: bool = False) -> Figure:
    """Draws a panel a column over the epochs: of each series the mean line, of colored ones with a band from the smallest to the largest.

    The mean goes as far as all trainings of the series went; gaps (nan) are passed over.

    Args:
        series: at least one; of those colored at most MOST_COLORED.
        columns: of the histories, at least one.
        each: draws each training as a line of its own instead, in its series' style.
        leaky: stamps LEAKY across the figure.
    """
    colored = [one for one in series if one.colored]
    across = 2 if len(columns) == 4 else min(ACROSS, len(columns))
    down = math.ceil(len(columns) / across)
    width = 3.1 * across + 0.4
    # In two columns where all labels have room for it; one that is wider than its column goes on below.
    longest = max((len(one.label) for one in colored), default=0)
    legend_columns = 2 if len(colored) > 3 and longest <= _letters(width / 2) else 1
    labels = {one.label: textwrap.fill(one.label, _letters(width / legend_columns)) for one in colored}
    lines = sum(text.count("\n") + 1 for text in labels.values())
    legend = 0.19 * math.ceil(lines / legend_columns) + 0.15 if colored else 0.0
    figure = new_figure(leaky, (width, 2.6 * down + 0.2 + legend))
    style = {id(one): STYLES[number % len(STYLES)] for number, one in enumerate(colored)}
    handles: dict[str, Any] = {}
    for place, column in enumerate(columns, start=1):
        axes = figure.add_subplot(down, across, place)
        for one in sorted(series, key=lambda one: one.colored):
            color, line = style.get(id(one), (LIGHT_GRAY, "-"))
            look = {"color": color, "linestyle": line, "linewidth": 1.6 if one.colored else 0.7, "zorder": 3 if one.colored else 2}
            for drawn in _lines(axes, one, column, look, each=each):
                if one.colored:
                    handles.setdefault(one.label, drawn)
        _dress(axes, column, same=_all_equal(series, column))
    if handles:
        # In the order of the styles, whatever panel each was first drawn in.
        shown = [one.label for one in colored if one.label in handles]
        figure.legend(
            [handles[label] for label in shown],
            [labels[label] for label in shown],
            loc="outside lower left",
            ncols=legend_columns,
            fontsize=TEXT - 1.5,
            frameon=False,
            borderaxespad=0.2,
        )
    return figure


def _letters(inches: float) -> int:
    """Returns how many letters of the legend's size a column has room for, beside its line."""
    return int((inches - 0.6) / LETTER_INCHES)


def _lines(axes: Any, series: Series, column: str, look: Mapping[str, Any], *, each: bool) -> list[Any]:
    curves = [curve for history in series.histories if (curve := _curve(history, column))]
    if not curves:
        return []
    if each or len(curves) == 1:
        return [_line(axes, list(curve), list(curve.values()), look) for curve in curves]
    # A mean over those that happen to be left would jump where one ends.
    last = min(max(curve) for curve in curves)
    epochs = sorted({epoch for curve in curves for epoch in curve if epoch <= last})
    values = [[curve[epoch] for curve in curves if epoch in curve] for epoch in epochs]
    if series.colored:
        axes.fill_between(
            epochs, [min(at) for at in values], [max(at) for at in values], color=look["color"], alpha=0.16, linewidth=0, zorder=1
        )
    return [_line(axes, epochs, [float(np.mean(at)) for at in values], look)]


def _line(axes: Any, epochs: Sequence[float], values: Sequence[float], look: Mapping[str, Any]) -> Any:
    return axes.plot(epochs, values, marker="o" if len(epochs) == 1 else None, markersize=4, **look)[0]


def _curve(history: Rows, column: str) -> dict[float, float]:
    """Returns epoch to value, where both are numbers; of an epoch that stands twice (a resumed run) the later row."""
    return {row["epoch"]: row[column] for row in history if math.isfinite(row.get(column, math.nan)) and math.isfinite(row["epoch"])}


def _all_equal(series: Sequence[Series], column: str) -> bool:
    """Returns whether several trainings have the same curve, so that one line covers the others."""
    curves = [curve for one in series for history in one.histories if (curve := _curve(history, column))]
    return len(curves) > 1 and all(curve == curves[0] for curve in curves)


def _dress(axes: Any, column: str, *, same: bool) -> None:
    base = column.removeprefix("val_")
    name = METRICS[base].label if base in METRICS else base.replace("_", " ")
    title = name[:1].upper() + name[1:] if base == column else f"Validation {name if base in METRICS else name.lower()}"
    title = "Training loss" if column == "loss" else title
    dress(axes, f"{title} (the same in all)" if same else title, "Epoch", "")
    count_axis(axes, np.concatenate([np.asarray(line.get_xdata(), dtype=float) for line in axes.lines]).tolist())
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.lines])
    low, high = values.min(), values.max()
    if base in ("loss", "learning_rate", "log_loss") and low > 0 and high > (WIDE_RANGE if base != "learning_rate" else 3) * low:
        axes.set_yscale("log")
