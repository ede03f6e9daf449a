"""The reliability figure: whether scores are probabilities."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from malaria_exp.evaluation.calibration_metrics import CURVE_BINS
from malaria_exp.evaluation.plots.style import BLACK, BLUE, GRAY, ORANGE, SKY, dress, new_figure, place_legend


def reliability(scores: np.ndarray, found: Mapping[str, Any], *, leaky: bool = False) -> Figure:
    """Draws the fraction of parasitized cells over their score, with its band over patients, and below it how many cells have that score.

    Args:
        scores: (N,), probability of parasitized, in [0, 1].
        found: as `calibration_metrics` gives it, as plain Python.
        leaky: stamps LEAKY across the figure.
    """
    figure = new_figure(leaky)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    curve, before = found["curve"], found["uncalibrated"]
    axes.plot([0, 1], [0, 1], color=BLACK, linewidth=0.9, linestyle=":", label="as the score says")
    if before is not None:
        axes.plot(
            before["curve"]["score"],
            before["curve"]["fraction"],
            "s--",
            color=ORANGE,
            markersize=4,
            linewidth=1.2,
            label="before calibration",
        )
    limits = np.array([curve["low"], curve["high"]], dtype=float)
    if np.isfinite(limits).any():
        axes.fill_between(curve["score"], *limits, color=SKY, alpha=0.35, linewidth=0, label="band over patients")
    slope = found["slope"]["value"]
    label = f"scores (slope {'undefined' if slope is None else f'{slope:.2f}'}, ECE {found['ece']:.3f})"
    axes.plot(curve["score"], curve["fraction"], "o-", color=BLUE, markersize=5, linewidth=1.8, label=label)
    dress(axes, "Reliability", "", "Fraction parasitized")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.02, 1.02))
    place_legend(axes, loc="lower right")
    below.hist(scores, np.linspace(0, 1, 4 * CURVE_BINS + 1).tolist(), color=GRAY, log=True)
    dress(below, "", "Score (probability of parasitized)", "Cells, log.")
    return figure
