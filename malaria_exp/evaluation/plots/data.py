"""Plots of what a dataset holds and of what the split did with it: counts of cells and patients, sizes; no pixel of a test cell."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from malaria_exp.data.cell_table import CLASS_NAMES
from malaria_exp.data.split_manifest import SUBSETS, Manifest
from malaria_exp.evaluation.plots.style import (
    BLUE,
    GRAY,
    GREEN,
    HEALTHY,
    INFECTED,
    ORANGE,
    PARASITIZED,
    TEXT,
    UNINFECTED,
    dress,
    new_axes,
    new_figure,
    place_legend,
    shorten,
)

MOST_NAMED = 40
CLASS_COLORS = (UNINFECTED, PARASITIZED)
CLASS_HATCHES = ("", "///")
SUBSET_NAMES = {"train": "training", "val": "validation", "test": "test"}
# (color, marker) of train, val, test.
SUBSET_STYLES = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "D"))
# (key of the counts, name, color, hatch)
CELLS = (("parasitized", "parasitized", PARASITIZED, "///"), ("uninfected", "uninfected", UNINFECTED, ""))
PATIENTS = (("infected_patients", "infected", INFECTED, "///"), ("healthy_patients", "healthy", HEALTHY, ""))


def class_counts(counts: Mapping[str, int], *, patients_known: bool, leaky: bool = False) -> Figure:
    """Draws how many cells of each class there are, and how many patients with and without parasites.

    Args:
        counts: as `malaria_exp.data.cell_table.count_cells` gives them.
        patients_known: whether patients can be counted.
        leaky: stamps LEAKY across the figure.
    """
    figure = new_figure(leaky, (8.6 if patients_known else 5.2, 2.4))
    panels: Any = figure.subplots(1, 2 if patients_known else 1, squeeze=False)[0]
    for axes, (unit, title, bars) in zip(panels, (("cells", "Cells by class", CELLS), ("patients", "Patients", PATIENTS)), strict=False):
        _bars(axes, [(name, counts[key], color, hatch) for key, name, color, hatch in bars], title, unit)
    return figure


def _bars(axes: Any, bars: Sequence[tuple[str, int, str, str]], title: str, unit: str) -> None:
    names, numbers, colors, hatches = zip(*bars, strict=True)
    places = np.arange(len(bars))[::-1]
    total = max(1, sum(numbers))
    axes.barh(places, numbers, 0.62, color=colors, hatch=hatches, edgecolor="white", linewidth=0)
    for place, number in zip(places, numbers, strict=True):
        axes.text(number, place, f"  {number:,} ({100 * number / total:.0f} %)", va="center", fontsize=TEXT - 1)
    dress(axes, title, unit, "")
    axes.set_yticks(places, names)
    axes.set_xlim(0, 1.42 * max(1, *numbers))
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.grid(visible=False, axis="y")


def cells_per_patient(patient: np.ndarray, label: np.ndarray, *, leaky: bool = False) -> Figure:
    """Draws each patient's cells, parasitized below uninfected, most cells first.

    Args:
        patient: str (N,).
        label: int8 (N,), 1 = parasitized.
        leaky: stamps LEAKY across the figure.
    """
    names, number = np.unique(patient, return_inverse=True)
    parasitized = np.bincount(number, weights=label == 1, minlength=len(names))
    total = np.bincount(number, minlength=len(names))
    order = np.lexsort((names, -total))
    figure, axes = new_axes(leaky, (8.6, 3.6))
    ranks = np.arange(1, len(names) + 1)
    width = 0.85 if len(names) <= 120 else 1.0
    axes.bar(ranks, parasitized[order], width, color=PARASITIZED, label="parasitized")
    axes.bar(ranks, (total - parasitized)[order], width, bottom=parasitized[order], color=UNINFECTED, label="uninfected")
    middle = float(np.median(total))
    axes.axhline(middle, color=GRAY, linestyle="--", linewidth=1, label=f"median: {middle:,.4g} cells")
    tenth = max(1, round(len(names) / 10))
    fraction = total[order][:tenth].sum() / total.sum()
    subject = f"the {tenth} largest" if tenth > 1 else "the largest"
    dress(
        axes,
        f"Cells per patient: {subject} of {len(names):,} hold {100 * fraction:.0f} % of the cells",
        "patients, most cells first",
        "cells",
    )
    axes.grid(visible=False, axis="x")
    axes.set_xlim(0.3, len(names) + 0.7)
    if len(names) <= MOST_NAMED:
        axes.set_xticks(ranks, [shorten(name, 14) for name in names[order].tolist()], rotation=90, fontsize=TEXT - 3, parse_math=False)
    place_legend(axes, loc="upper right")
    return figure


def split_bars(counts: Mapping[str, Mapping[str, int]], *, patients_known: bool, leaky: bool = False) -> Figure:
    """Draws each subset's cells by class, and its patients.

    Args:
        counts: by subset, as `Manifest.counts` gives them.
        patients_known: whether patients can be counted.
        leaky: stamps LEAKY across the figure.
    """
    figure = new_figure(leaky, (8.6, 2.7))
    kinds = (("cells", CELLS), ("patients", PATIENTS))[: 2 if patients_known else 1]
    panels: Any = figure.subplots(1, len(kinds), squeeze=False)[0]
    places = np.arange(len(counts))[::-1]
    for axes, (unit, bars) in zip(panels, kinds, strict=True):
        totals = np.array([row[unit] for row in counts.values()])
        start = np.zeros(len(counts))
        for key, name, color, hatch in bars:
            numbers = np.array([row[key] for row in counts.values()])
            axes.barh(places, numbers, 0.62, left=start, color=color, hatch=hatch, edgecolor="white", linewidth=0, label=name)
            start = start + numbers
        for place, total in zip(places, totals, strict=True):
            fraction = 100 * total / max(1, totals.sum())
            axes.text(total, place, f"  {total:,} ({fraction:.0f} %)", va="center", fontsize=TEXT - 1)
        dress(axes, unit.capitalize(), unit, "")
        axes.set_yticks(places, list(counts))
        axes.set_xlim(0, 1.4 * max(1, totals.max(initial=1)))
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.grid(visible=False, axis="y")
        place_legend(axes, loc="lower right")
    return figure


def split_patients(manifest: Manifest) -> Figure:
    """Draws each patient as a dot: cells and the parasitized fraction of them, by the subset that the patient's cells went to."""
    figure, axes = new_axes(manifest.leaky, (8.6, 3.8))
    for subset, (color, marker) in zip(SUBSETS, SUBSET_STYLES, strict=True):
        rows = manifest.rows(subset)
        if not len(rows):
            continue
        names, number = np.unique(manifest.patient[rows], return_inverse=True)
        total = np.bincount(number)
        fraction = np.bincount(number, weights=manifest.label[rows] == 1) / total
        text = f"{SUBSET_NAMES[subset]}: {len(names):,} patients"
        axes.scatter(total, fraction, s=34, color=color, marker=marker, alpha=0.7, edgecolors="white", linewidths=0.6, label=text)
    axes.set_xscale("log")
    # Few decades are spanned, if any: whole numbers say more than powers of ten.
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.xaxis.set_minor_formatter(lambda value, _: f"{value:,.0f}" if str(f"{value:.0f}")[0] in "25" else "")
    dress(axes, "Each dot is a patient of a subset", "cells of the patient there", "parasitized fraction of them")
    axes.tick_params(which="minor", labelsize=TEXT - 2)
    axes.set_ylim(-0.06, 1.06)
    place_legend(axes, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def cell_sizes(sizes: np.ndarray, labels: np.ndarray, examples: Sequence[np.ndarray], image_size: int, *, leaky: bool = False) -> Figure:
    """Draws how large the images are, by class, and some of them to one scale.

    Args:
        sizes: int (n, 2), height and width in pixels.
        labels: int8 (n,), 1 = parasitized.
        examples: uint8 (height, width, 3) each, from the smallest to the largest.
        image_size: edge in pixels of the images that the model gets.
        leaky: stamps LEAKY across the figure.
    """
    figure = new_figure(leaky, (8.6, 5.0))
    grid = figure.add_gridspec(2, 2, height_ratios=(3, 2))
    longer = sizes.max(axis=1)
    # The fewer cells, the wider the bins.
    step = max(1, -(-int(np.ptp(longer)) // max(8, min(40, len(longer) // 15))))
    bins = np.arange(longer.min() - 0.5, longer.max() + step + 0.5, step)
    histogram: Any
    scatter: Any
    histogram, scatter = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
    for number, name in enumerate(CLASS_NAMES):
        own = sizes[labels == number]
        if len(own):
            options: dict[str, Any] = {"color": CLASS_COLORS[number], "label": f"{name}: median {np.median(own.max(axis=1)):.0f} px"}
            histogram.hist(own.max(axis=1), bins, alpha=0.55, hatch=CLASS_HATCHES[number], edgecolor="white", linewidth=0, **options)
            scatter.scatter(own[:, 1], own[:, 0], s=14, color=CLASS_COLORS[number], marker="ox"[number], alpha=0.45, linewidths=0.8)
    histogram.axvline(image_size, color=GRAY, linestyle="--", linewidth=1, label=f"the model's: {image_size} px")
    dress(histogram, "Longer edge", "pixels", "cells")
    histogram.yaxis.set_major_locator(MaxNLocator(integer=True))
    # Room for the legend.
    histogram.set_ylim(0, 1.45 * histogram.get_ylim()[1])
    place_legend(histogram, loc="upper right")
    dress(scatter, "Height and width", "width in pixels", "height in pixels")
    _to_one_scale(figure.add_subplot(grid[1, :]), examples)
    return figure


def _to_one_scale(axes: Any, examples: Sequence[np.ndarray]) -> None:
    """Draws images side by side, one pixel as large in each, with their sizes below."""
    tallest = max(image.shape[0] for image in examples)
    gap = max(2, tallest // 6)
    canvas = np.full((tallest, sum(image.shape[1] + gap for image in examples) - gap, 3), 255, np.uint8)
    x = 0
    for image in examples:
        height, width = image.shape[:2]
        canvas[tallest - height :, x : x + width] = image
        axes.text(x + width / 2, tallest * 1.04, f"{height} x {width}", ha="center", va="top", fontsize=TEXT - 2, color=GRAY)
        x += width + gap
    axes.imshow(canvas, interpolation="nearest", extent=(0, canvas.shape[1], tallest, 0))
    axes.set_title("From the smallest to the largest, to one scale (height x width in pixels)", fontsize=TEXT + 1, loc="left")
    axes.set_axis_off()
