"""Plots of the chapters on subgroups and usefulness: intervals of groups, error against coverage, the decision curve."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from malaria_exp.evaluation.plots.style import (
    BLACK,
    BLUE,
    GRAY,
    SKY,
    TEXT,
    VERMILLION,
    dress,
    new_axes,
    new_figure,
    place_legend,
    shorten,
)
from malaria_exp.evaluation.usefulness.decision_curve import decision_curve
from malaria_exp.evaluation.usefulness.risk_coverage import certainty, risk_curve

LEVEL = 0.05


def subgroup_intervals(rows: Sequence[Mapping[str, Any]], everyone: Mapping[str, Any], *, leaky: bool = False) -> Figure:
    """Draws sensitivity and specificity of each group with their intervals; filled marks differ from all others.

    Args:
        rows: as `subgroups` gives them.
        everyone: the rates of all cells, cells as in `IntervalMethod`.
        leaky: stamps LEAKY across the figure.
    """
    titles = list(dict.fromkeys(row["title"] for row in rows))
    figure = new_figure(leaky, (8.6, 1.3 + 0.24 * (len(rows) + 1.4 * len(titles))))
    places, labels, at = [], [], 0.0
    heads = []
    for title in titles:
        heads.append((at, title))
        for row in (row for row in rows if row["title"] == title):
            at += 1
            places.append(at)
            labels.append(f"{shorten(row['group'], 30)} ({row['patients']})")
        at += 1.4
    for number, (axes, rate) in enumerate(zip(figure.subplots(1, 2, sharey=True), ("sensitivity", "specificity"), strict=True)):
        if everyone[rate]["value"] is not None:
            axes.axvline(everyone[rate]["value"], color=GRAY, linewidth=1, linestyle=":")
        for place, row in zip(places, rows, strict=True):
            cell = row[rate]
            if cell["value"] is None:
                continue
            p = row["tests"].get(rate, {}).get("p_holm")
            differs = p is not None and p < LEVEL
            if cell["low"] is not None:
                axes.plot([cell["low"], cell["high"]], [place] * 2, color=VERMILLION if differs else SKY, linewidth=3 if differs else 2.2)
            mark = {"markerfacecolor": VERMILLION} if differs else {"markerfacecolor": "white"}
            axes.plot(cell["value"], place, "D" if differs else "o", markeredgecolor=BLACK, markersize=5, clip_on=False, zorder=3, **mark)
        dress(axes, rate.capitalize(), "Fraction of the group's cells", "")
        low = min((row[rate]["low"] for row in rows if row[rate]["low"] is not None), default=0.0)
        axes.set_xlim(max(0.0, min(low - 0.03, 0.9)), 1.01)
        if not number:
            axes.set_yticks([*(place for place, _ in heads), *places], [*("" for _ in heads), *labels], fontsize=TEXT - 1.5)
            axes.set_ylim(at, -0.8)
            for place, title in heads:
                axes.text(
                    -0.02, place, title, transform=axes.get_yaxis_transform(), ha="right", va="center", fontsize=TEXT - 1.5, weight="bold"
                )
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(MaxNLocator(5))
    return figure


def risk_coverage_curve(
    labels: np.ndarray, scores: np.ndarray, threshold: np.ndarray | float, found: Mapping[str, Any], *, leaky: bool = False
) -> Figure:
    """Draws the error among answered cells against the fraction of cells that is answered.

    Args:
        labels: (N,), 1 = parasitized.
        scores: (N,).
        threshold: of all cells, or of each, (N,).
        found: as `risk_coverage` gives it.
        leaky: stamps LEAKY across the figure.
    """
    figure, axes = new_axes(leaky)
    coverage, risk = risk_curve((scores >= threshold) != (labels == 1), certainty(scores, threshold))
    shown = coverage >= 0.3
    axes.plot(100 * coverage[shown], 100 * risk[shown], color=BLUE, linewidth=1.8, label=f"surest cells first, AURC {found['aurc']:.4f}")
    rows = found["rows"]
    axes.axhline(100 * rows[0]["error"]["value"], color=GRAY, linewidth=1, linestyle=":", label="cells left out by lot")
    for place, row in enumerate(rows):
        error, at = row["error"], 100 * row["answered"] / len(labels)
        if error["low"] is not None:
            label = {"label": "interval over patients"} if place == 0 else {}
            axes.plot([at, at], [100 * error["low"], 100 * error["high"]], color=VERMILLION, linewidth=1.6, **label)
        axes.plot(at, 100 * error["value"], "o", color=VERMILLION, markersize=5)
        axes.annotate(
            f"{100 * error['value']:.1f}%", (at, 100 * error["value"]), (-6, 5), textcoords="offset points", ha="right", fontsize=TEXT - 1
        )
    axes.set(xlim=(30, 101), ylim=(0, None))
    dress(axes, "Error if doubtful cells are left to a person", "Cells that the model answers, in %", "Errors among them, in %")
    place_legend(axes, loc="upper left")
    return figure


def decision_curves(
    labels: np.ndarray, scores: np.ndarray, patients: np.ndarray | None, *, confidence: float, leaky: bool = False
) -> Figure:
    """Draws net benefit over threshold probabilities.

    Args:
        labels: (N,), 1 = parasitized.
        scores: (N,).
        patients: (N,); None if they are not known.
        confidence: of the band.
        leaky: stamps LEAKY across the figure.
    """
    figure, axes = new_axes(leaky)
    curve = decision_curve(labels, scores, patients, confidence=confidence)
    if np.isfinite(curve.low).any():
        axes.fill_between(
            curve.threshold, curve.low, curve.high, color=SKY, alpha=0.4, linewidth=0, label=f"{confidence:.0%} band over patients"
        )
    axes.plot(curve.threshold, curve.model, color=BLUE, linewidth=1.8, label="act by the model's score")
    axes.plot(curve.threshold, curve.everyone, "--", color=VERMILLION, linewidth=1.4, label="act on every cell")
    axes.axhline(0, color=BLACK, linewidth=1.1, linestyle=":", label="act on none")
    top = max(float(np.nanmax(curve.model)), float(curve.everyone[0]), 0.05)
    axes.set(xlim=(0, 1), ylim=(-0.15 * top, 1.15 * top))
    dress(axes, "Decision curve", "Probability from which on one acts", "Net benefit a cell")
    place_legend(axes, loc="best")
    return figure
