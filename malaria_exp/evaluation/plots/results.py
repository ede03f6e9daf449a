"""Plots of an evaluation: confusion matrix, ROC curve, precision and recall, scores.

`leaky` stamps LEAKY across the figure. Labels are (N,), 1 = parasitized; scores are (N,) float, probability of parasitized, in [0, 1].
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from malaria_exp.evaluation.intervals.roc_band import roc_band
from malaria_exp.evaluation.metrics import Ranking, count
from malaria_exp.evaluation.plots.style import (
    BLUE,
    GRAY,
    GRID,
    PARASITIZED,
    SKY,
    TEXT,
    UNINFECTED,
    dress,
    mark_thresholds,
    new_axes,
    place_legend,
)

# Above this AUC the curve lies in the upper left corner, which is then enlarged.
CROWDED = 0.95


def _with_interval(name: str, cell: Mapping[str, Any] | None) -> str:
    if cell is None or cell["value"] is None:
        return f"{name} undefined"
    interval = "" if cell["low"] is None else f" ({cell['low']:.3f} to {cell['high']:.3f})"
    return f"{name} {cell['value']:.3f}{interval}"


def confusion_matrix(
    labels: np.ndarray, scores: np.ndarray, threshold: float | np.ndarray, *, name: str = "", leaky: bool = False
) -> Figure:
    """Draws the four counts with the percentage of their true class.

    Args:
        labels: see the module.
        scores: see the module.
        threshold: predicted parasitized if score >= threshold; (N,) if cells have thresholds of their own.
        name: the threshold's name for the title.
        leaky: see the module.
    """
    fractions, cells = matrix_cells(labels, scores, threshold)
    figure, axes = new_axes(leaky, (4.6, 4.2))
    axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
    for (row, column), (number, percent, color) in cells.items():
        axes.text(column, row - 0.1, number, ha="center", va="center", fontsize=TEXT + 7, color=color)
        axes.text(column, row + 0.18, percent, ha="center", va="center", fontsize=TEXT - 0.5, color=color)
    value = f"{threshold:.4g}" if np.ndim(threshold) == 0 else "each run's own"
    dress(axes, f"Threshold {f'{name} = ' if name else ''}{value}", "Predicted", "Truth (percentages are of each row)")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_xticks([0, 1], ["parasitized", "uninfected"])
    axes.set_yticks([0, 1], ["parasitized", "uninfected"], rotation=90, va="center")
    axes.tick_params(length=0)
    return figure


def matrix_cells(
    labels: np.ndarray, scores: np.ndarray, threshold: float | np.ndarray
) -> tuple[np.ndarray, dict[tuple[int, int], tuple[str, str, str]]]:
    """Returns the fractions of each true class, (2, 2), and by (row, column) what is written there: count, percentage, text color."""
    counts = count(labels, scores, threshold)
    matrix = np.array([[counts.tp, counts.fn], [counts.fp, counts.tn]])
    totals = matrix.sum(axis=1, keepdims=True)
    fractions = matrix / np.maximum(totals, 1)
    words = (("found", "missed"), ("false alarm", "cleared"))
    cells = {}
    for (row, column), number in np.ndenumerate(matrix):
        percent = f"{fractions[row, column]:.1%}" if totals[row, 0] else "no cells"
        cells[row, column] = f"{number:,}", f"{percent} · {words[row][column]}", "white" if fractions[row, column] > 0.5 else "black"
    return fractions, cells


def roc(
    labels: np.ndarray,
    scores: np.ndarray,
    patients: np.ndarray | None = None,
    *,
    thresholds: Mapping[str, float] | None = None,
    auc: Mapping[str, Any] | None = None,
    leaky: bool = False,
) -> Figure:
    """Draws the ROC curve with its pointwise 95% band over patients, and its corner enlarged if it lies there.

    Args:
        labels: see the module; with one class only the axes are drawn, and that is said.
        scores: see the module.
        patients: (N,), for the band; None for no band.
        thresholds: marked on the curve, by name.
        auc: {"value", "low", "high"} as `evaluate` gives it; None computes the value alone.
        leaky: see the module.
    """
    figure, axes = new_axes(leaky)
    ranking = Ranking(labels, scores)
    tp, fp = ranking.curve()
    if tp[-1] and fp[-1]:
        value = float(ranking.auc_and_average_precision()[0])
        label = _with_interval("AUC", auc or {"value": value, "low": None, "high": None})
        grid = np.linspace(0, 1, 401)
        band = None if patients is None else roc_band(labels, scores, patients, grid)
        for view in [axes, _enlarged_corner(axes)] if value > CROWDED else [axes]:
            if band is not None:
                view.fill_between(grid, *band, color=SKY, alpha=0.35, linewidth=0, label="95% band over patients")
            view.plot(np.append(0, fp / fp[-1]), np.append(0, tp / tp[-1]), color=BLUE, linewidth=1.8, label=label)
            mark_thresholds(view, thresholds, lambda threshold: _roc_point(labels, scores, threshold))
    else:
        axes.text(0.5, 0.5, "undefined: one class only", ha="center", va="center", fontsize=TEXT)
    axes.plot([0, 1], [0, 1], color=GRAY, linewidth=0.9, linestyle=":", label="chance")
    dress(axes, "ROC curve", "1 - specificity (fraction of uninfected cells predicted parasitized)", "Sensitivity")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    place_legend(axes, loc="lower right")
    return figure


def _enlarged_corner(axes: Any) -> Any:
    """Returns axes inside of others, for the upper left corner of a ROC curve."""
    view = axes.inset_axes((0.36, 0.38, 0.58, 0.46), xlim=(0, 0.2), ylim=(0.8, 1.002))
    view.set_title("the corner, enlarged", fontsize=TEXT - 2, loc="right", pad=3)
    view.set_xticks([0, 0.05, 0.1, 0.15, 0.2])
    view.tick_params(labelsize=TEXT - 3)
    view.grid(visible=True, color=GRID, linewidth=0.7)
    return view


def _roc_point(labels: np.ndarray, scores: np.ndarray, threshold: float) -> tuple[float, float]:
    at = count(labels, scores, threshold)
    return 1 - at.specificity, at.sensitivity


def precision_recall(
    labels: np.ndarray,
    scores: np.ndarray,
    *,
    thresholds: Mapping[str, float] | None = None,
    average_precision: Mapping[str, Any] | None = None,
    leaky: bool = False,
) -> Figure:
    """Draws PPV over sensitivity with the prevalence as the line of a model that guesses.

    Args:
        labels: see the module; without a parasitized cell only the axes are drawn, and that is said.
        scores: see the module.
        thresholds: marked on the curve, by name.
        average_precision: {"value", "low", "high"} as `evaluate` gives it; None computes the value alone.
        leaky: see the module.
    """
    figure, axes = new_axes(leaky)
    ranking = Ranking(labels, scores)
    tp, fp = ranking.curve()
    prevalence = tp[-1] / (tp[-1] + fp[-1])
    if tp[-1]:
        if average_precision is None:
            value = float(ranking.auc_and_average_precision()[1])
            average_precision = {"value": None if np.isnan(value) else value, "low": None, "high": None}
        label = _with_interval("AP", average_precision)
        # Steps, not straight lines: between two thresholds PPV does not run linearly (Davis and Goadrich 2006).
        axes.step(tp / tp[-1], tp / (tp + fp), where="pre", color=BLUE, linewidth=1.8, label=label)
        mark_thresholds(axes, thresholds, lambda threshold: _precision_point(labels, scores, threshold))
    else:
        axes.text(0.5, 0.5, "undefined: no parasitized cell", ha="center", va="center", fontsize=TEXT)
    axes.axhline(prevalence, color=GRAY, linewidth=0.9, linestyle=":", label=f"prevalence {prevalence:.3f}")
    dress(axes, "Precision and recall", "Sensitivity (recall)", "PPV (precision)")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    place_legend(axes, loc="lower left")
    return figure


def _precision_point(labels: np.ndarray, scores: np.ndarray, threshold: float) -> tuple[float, float]:
    at = count(labels, scores, threshold)
    return at.sensitivity, at.ppv


def score_histogram(
    labels: np.ndarray, scores: np.ndarray, *, thresholds: Mapping[str, float] | None = None, log: bool = True, leaky: bool = False
) -> Figure:
    """Draws how the scores of both classes spread, in 40 bins of [0, 1].

    Args:
        labels: see the module.
        scores: see the module.
        thresholds: marked, by name.
        log: the number of cells on a logarithmic axis; most scores lie at 0 and 1, and the errors are few.
        leaky: see the module.
    """
    labels, scores = np.asarray(labels), np.asarray(scores)
    figure, axes = new_axes(leaky)
    bins = np.linspace(0, 1, 41).tolist()
    for label, name, color, hatch in ((0, "uninfected", UNINFECTED, ""), (1, "parasitized", PARASITIZED, "////")):
        own = scores[labels == label]
        axes.hist(own, bins, histtype="stepfilled", color=color, alpha=0.3, hatch=hatch, log=log, label=f"{name} ({len(own):,})")
        axes.hist(own, bins, histtype="step", color=color, linewidth=1.4, log=log)
    mark_thresholds(axes, thresholds)
    dress(axes, "Scores by class", "Score (probability of parasitized)", f"Cells{', logarithmic' if log else ''}")
    axes.set_xlim(0, 1)
    # Room for the legend above the highest bar.
    axes.set_ylim(0.7 if log else 0, axes.get_ylim()[1] * (8 if log else 1.25))
    place_legend(axes, loc="upper center", ncols=2)
    return figure
