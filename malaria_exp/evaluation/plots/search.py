"""The plots of a search: how the search went, which parameters mattered, and where the good values lie."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from malaria_exp.evaluation.plots.style import (
    BLUE,
    GRAY,
    SKY,
    TEXT,
    VERMILLION,
    count_axis,
    dress,
    new_axes,
    new_figure,
    place_legend,
    shorten,
)

# Dark to light in even steps, for color-blind people too: Nuñez et al. 2018, https://doi.org/10.1371/journal.pone.0199239
COLORS = "cividis"
ACROSS = 3
MOST_LABELS, LONGEST_LABEL = 12, 14


@dataclass(frozen=True)
class Dimension:
    """A parameter as an axis.

    Attributes:
        name: of the parameter.
        axis: "linear", "log" or "category".
        values: of each trial.
        labels: of the categories, in order; empty for numbers.
    """

    name: str
    axis: str
    values: Sequence[Any]
    labels: tuple[str, ...] = ()

    def places(self) -> np.ndarray:
        """Returns each trial's place on the axis, float (N,): its value, its logarithm, or its category's number."""
        if self.axis == "category":
            return np.array([self.labels.index(str(value)) for value in self.values], float)
        numbers = np.array(self.values, float)
        return np.log10(numbers) if self.axis == "log" else numbers


@dataclass(frozen=True)
class Scored:
    """A trial with a value.

    Attributes:
        number: its place in the order the trials began, from 0.
        value: of the metric.
        early: whether it was pruned, stopped as one of the worse.
    """

    number: int
    value: float
    early: bool


def course(trials: Sequence[Scored], metric: str, *, larger_is_better: bool, leaky: bool = False) -> Figure:
    """Draws each trial's value in the order they began, and the best so far; pruned ones are hollow."""
    figure, axes = new_axes(leaky, (7.2, 3.6))
    ordered = sorted(trials, key=lambda trial: trial.number)
    for early, label in ((False, "ran to its end"), (True, "pruned")):
        chosen = [trial for trial in ordered if trial.early == early]
        if chosen:
            face = "none" if early else BLUE
            axes.scatter(
                [t.number for t in chosen], [t.value for t in chosen], s=34, facecolors=face, edgecolors=BLUE, label=label, zorder=3
            )
    done = [trial for trial in ordered if not trial.early]
    if done:
        best = (np.maximum if larger_is_better else np.minimum).accumulate([trial.value for trial in done])
        end = max(trial.number for trial in ordered)
        axes.step([*(t.number for t in done), end], [*best, best[-1]], where="post", color=VERMILLION, linewidth=1.6, label="best so far")
    dress(axes, "Course of the search", "trial", metric)
    count_axis(axes, [trial.number for trial in ordered])
    place_legend(axes, loc="lower right" if larger_is_better else "upper right")
    return figure


def importance(fractions: Mapping[str, float], *, leaky: bool = False) -> Figure:
    """Draws the fraction of the metric's variance that each parameter explains, the largest on top."""
    ordered = sorted(fractions.items(), key=lambda item: item[1])
    figure, axes = new_axes(leaky, (7.2, 1.3 + 0.34 * len(ordered)))
    bars = axes.barh([name for name, _ in ordered], [fraction for _, fraction in ordered], color=SKY, edgecolor=BLUE)
    axes.bar_label(bars, labels=[f"{fraction:.0%}" for _, fraction in ordered], padding=3, fontsize=TEXT - 1)
    dress(axes, "Importance", "fraction of the metric's variance that the parameter explains", "")
    axes.set_xlim(0, min(1.15, 1.15 * max(fractions.values()) + 0.02))
    return figure


def parallel(
    dimensions: Sequence[Dimension], trials: Sequence[Scored], metric: str, *, larger_is_better: bool, leaky: bool = False
) -> Figure:
    """Draws a line a trial through its values, in the color of its metric; the best are drawn last."""
    figure, axes = new_axes(leaky, (max(5.0, 1.6 * (len(dimensions) + 1)), 4.2))
    values = np.array([trial.value for trial in trials])
    columns = [_unit(dimension.places()) for dimension in dimensions] + [_unit(values)]
    shade = Normalize(values.min(), values.max() if values.max() > values.min() else values.min() + 1e-9)
    colors = ScalarMappable(shade, COLORS)
    order = np.argsort(values if larger_is_better else -values, kind="stable")
    for row in order:
        heights = [column[row] for column in columns]
        early = trials[row].early
        axes.plot(heights, color=colors.to_rgba(values[row]), linewidth=1.0 if early else 1.8, alpha=0.5 if early else 0.9)
    for place, (column, dimension) in enumerate(zip(columns, [*dimensions, None], strict=True)):
        axes.axvline(place, color=GRAY, linewidth=0.8)
        box = {"facecolor": "white", "alpha": 0.75, "pad": 0.6, "lw": 0}
        for height, text in _ticks(dimension, column, values):
            axes.text(place + 0.03, height, text, fontsize=TEXT - 2.5, va="center", bbox=box)
    names = [_wrapped(dimension.name) for dimension in dimensions] + [metric]
    axes.set_xticks(range(len(columns)), names, fontsize=TEXT - 1)
    axes.set_yticks([])
    axes.set_xlim(-0.1, len(columns) - 0.45)
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axes.set_title("Parallel coordinates", fontsize=TEXT + 1, loc="left")
    bar = figure.colorbar(colors, ax=axes, pad=0.01, fraction=0.03)
    bar.set_label(metric, fontsize=TEXT - 1)
    bar.ax.tick_params(labelsize=TEXT - 2)
    return figure


def slices(dimensions: Sequence[Dimension], trials: Sequence[Scored], metric: str, *, leaky: bool = False) -> Figure:
    """Draws a panel a parameter: its value against the metric; pruned trials are hollow."""
    across = min(ACROSS, len(dimensions))
    down = math.ceil(len(dimensions) / across)
    figure = new_figure(leaky, (max(4.6, 3.2 * across), 2.9 * down + 0.2))
    values = np.array([trial.value for trial in trials])
    early = np.array([trial.early for trial in trials])
    for number, dimension in enumerate(dimensions, start=1):
        axes = figure.add_subplot(down, across, number)
        places = 10 ** dimension.places() if dimension.axis == "log" else dimension.places()
        for chosen, face in ((~early, BLUE), (early, "none")):
            axes.scatter(places[chosen], values[chosen], s=26, facecolors=face, edgecolors=BLUE, alpha=0.85)
        dress(axes, "", dimension.name, metric if (number - 1) % across == 0 else "")
        if dimension.axis == "log":
            axes.set_xscale("log")
            wide = places.max() / places.min() > 10
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        elif dimension.axis == "category":
            many = len(dimension.labels) > 3 or max(map(len, dimension.labels)) > 8
            shown = [shorten(label, LONGEST_LABEL) for label in dimension.labels]
            axes.set_xticks(range(len(shown)), shown, rotation=35 if many else 0, ha="right" if many else "center")
            axes.set_xlim(-0.5, len(shown) - 0.5)
        else:
            axes.xaxis.set_major_locator(MaxNLocator(5))
    return figure


def _unit(places: np.ndarray) -> np.ndarray:
    low, high = places.min(), places.max()
    return np.full(len(places), 0.5) if high == low else (places - low) / (high - low)


def _ticks(dimension: Dimension | None, column: np.ndarray, values: np.ndarray) -> list[tuple[float, str]]:
    """Returns (height, text) of the marks of a vertical axis."""
    if dimension is not None and dimension.axis == "category":
        places = dimension.places()
        marks = {float(column[row]): dimension.labels[int(places[row])] for row in range(len(places))}
        return [(height, shorten(text, LONGEST_LABEL)) for height, text in list(marks.items())[:MOST_LABELS]]
    numbers = values if dimension is None else np.array(dimension.values, float)
    return [
        (float(column[row]), f"{numbers[row]:.3g}" if dimension else f"{numbers[row]:.4f}")
        for row in {int(numbers.argmin()), int(numbers.argmax())}
    ]


def _wrapped(name: str) -> str:
    return name.replace(".", ".\n", 1)
