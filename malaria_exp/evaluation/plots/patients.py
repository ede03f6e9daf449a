"""Plots behind the averages: single cells that were predicted wrong, and single patients."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from malaria_exp.evaluation.metrics import METRICS
from malaria_exp.evaluation.plots.style import GRAY, GREEN, PARASITIZED, TEXT, UNINFECTED, dress, new_figure, place_legend, shorten

MOST_NAMED_PATIENTS = 30
LONGEST_PATIENT = 14


@dataclass(frozen=True, eq=False)
class ErrorCell:
    """A cell the model got wrong, with its picture.

    Attributes:
        image: uint8 (height, width, 3).
        cell_id: its name.
        patient: its patient.
        score: probability of parasitized, in [0, 1].
    """

    image: np.ndarray
    cell_id: str
    patient: str
    score: float


def worst(labels: np.ndarray, scores: np.ndarray, threshold: float | np.ndarray, most: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows of the false negatives (lowest score first) and false positives (highest first), at most `most` each."""
    labels, scores = np.asarray(labels), np.asarray(scores)
    missed = np.flatnonzero((labels == 1) & (scores < threshold))
    alarms = np.flatnonzero((labels == 0) & (scores >= threshold))
    return missed[np.argsort(scores[missed], kind="stable")][:most], alarms[np.argsort(-scores[alarms], kind="stable")][:most]


def worst_errors(missed: Sequence[ErrorCell], alarms: Sequence[ErrorCell], *, across: int = 6, leaky: bool = False) -> Figure:
    """Draws the false negatives above the false positives, each with its score, patient and cell.

    Args:
        missed: false negatives, worst first.
        alarms: false positives, worst first.
        across: pictures a row.
        leaky: stamps LEAKY across the figure.
    """
    rows = [max(1, math.ceil(len(cells) / across)) for cells in (missed, alarms)]
    figure = new_figure(leaky, (1.45 * across, 2.0 * sum(rows) + 0.8))
    panels: Any = figure.subfigures(2, 1, height_ratios=rows)
    for panel, cells, count_of_rows, title in zip(
        panels,
        (missed, alarms),
        rows,
        ("Missed: parasitized cells with the lowest scores", "False alarms: uninfected cells with the highest scores"),
        strict=True,
    ):
        panel.suptitle(title if cells else f"{title}: none", fontsize=TEXT + 1, x=0.01, ha="left")
        grid = panel.subplots(count_of_rows, across, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for axes, cell in zip(grid.flat, cells, strict=False):
            axes.imshow(cell.image, interpolation="nearest")
            # Crops of any shape are centered in equal squares, so that the captions line up.
            axes.set_adjustable("datalim")
            axes.set_box_aspect(1)
            axes.set_title(f"{cell.score:.3f} · {shorten(cell.patient, LONGEST_PATIENT)}", fontsize=TEXT - 2, parse_math=False)
            name = "\n".join(textwrap.wrap(cell.cell_id, 22, max_lines=3))
            axes.text(0.5, -0.03, name, transform=axes.transAxes, ha="center", va="top", fontsize=TEXT - 4, color=GRAY, parse_math=False)
    return figure


def per_patient(rows: Sequence[Mapping[str, Any]], *, threshold: str, leaky: bool = False) -> Figure:
    """Draws each patient's sensitivity and specificity, worst first; the area of a dot grows with the cells behind it.

    Args:
        rows: as `evaluate` gives them under "per_patient".
        threshold: name of the threshold.
        leaky: stamps LEAKY across the figure.
    """
    figure = new_figure(leaky, (8.6, 3.8))
    for place, (rate, kind, color, hits) in enumerate(
        (("sensitivity", "parasitized", PARASITIZED, "tp"), ("specificity", "uninfected", UNINFECTED, "tn")), start=1
    ):
        axes = figure.add_subplot(1, 2, place)
        own = sorted((row for row in rows if row[kind]), key=lambda row: (row["at"][threshold][rate], row["patient"]))
        values = [row["at"][threshold][rate] for row in own]
        cells = np.array([row[kind] for row in own])
        ranks = np.arange(1, len(own) + 1)
        axes.scatter(
            ranks, values, s=8 + 160 * cells / max(1, cells.max(initial=1)), color=color, alpha=0.6, edgecolors="white", linewidths=0.6
        )
        if own:
            overall = sum(row["at"][threshold][hits] for row in own) / cells.sum()
            axes.axhline(overall, color=GRAY, linestyle="--", linewidth=1, label=f"all cells together: {overall:.3f}")
            axes.axhline(np.mean(values), color=GREEN, linestyle=":", linewidth=1.3, label=f"mean of patients: {np.mean(values):.3f}")
            place_legend(axes, loc="lower right", title=f"area: cells, at most {cells.max():,}", title_fontsize=TEXT - 2)
        else:
            axes.text(0.5, 0.5, f"no {kind} cell", transform=axes.transAxes, ha="center", fontsize=TEXT)
        named = len(own) <= MOST_NAMED_PATIENTS
        dress(axes, f"{METRICS[rate].label} at {threshold}", "Patients, worst first", f"{METRICS[rate].label} (fraction of {kind} cells)")
        axes.set_ylim(min([0.8, *values]) - 0.05, 1.03)
        if named:
            axes.set_xticks(ranks, [row["patient"] for row in own], rotation=90, fontsize=TEXT - 3, parse_math=False)
    return figure
