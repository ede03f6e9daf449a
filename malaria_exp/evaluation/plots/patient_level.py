"""Plots of the patient chapter: agreement of fractions, infected and healthy patients, predictive values over prevalence."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from malaria_exp.evaluation.intervals.roc_band import roc_band
from malaria_exp.evaluation.metrics import Ranking
from malaria_exp.evaluation.patient_level.predictive_values import predictive_values
from malaria_exp.evaluation.plots.style import (
    BLACK,
    BLUE,
    GRAY,
    HEALTHY,
    INFECTED,
    SKY,
    TEXT,
    VERMILLION,
    dress,
    new_axes,
    new_figure,
    place_legend,
)

WIDE = (8.6, 4.2)
GROUPS = (("infected patients", INFECTED, "o"), ("healthy patients", HEALTHY, "D"))


def patient_agreement(found: Mapping[str, Any], *, leaky: bool = False) -> Figure:
    """Draws each patient's estimated fraction of parasitized cells over the labeled one, and their differences with limits of agreement.

    Args:
        found: as `patient_level` gives it.
        leaky: stamps LEAKY across the figure.
    """
    figure = new_figure(leaky, WIDE)
    rows = _columns(found)
    corrected = found["agreement"]["corrected"] is not None
    kind = "corrected" if corrected else "predicted"
    estimate = rows[kind]
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color=GRAY, linewidth=0.9, linestyle=":", label="as labeled")
    if corrected:
        left.vlines(rows["labeled"], rows["low"], rows["high"], color=GRAY, alpha=0.45, linewidth=1, label="interval")
    for axes, x, y in ((left, rows["labeled"], estimate), (right, (rows["labeled"] + estimate) / 2, estimate - rows["labeled"])):
        for (label, color, marker), chosen in zip(GROUPS, (rows["labeled"] > 0, rows["labeled"] == 0), strict=True):
            axes.plot(x[chosen], y[chosen], marker, color=color, markersize=5, alpha=0.75, markeredgecolor="white", label=label)
    limits = found["agreement"][kind]
    if limits is not None:
        for name, style, words in (("bias", "-", "mean"), ("lower_limit", "--", "lower limit"), ("upper_limit", "--", "upper limit")):
            cell = limits[name]
            right.axhline(cell["value"], color=BLACK, linestyle=style, linewidth=1.1, label=f"{words} {cell['value']:+.3f}")
            if cell["low"] is not None:
                right.axhspan(cell["low"], cell["high"], color=SKY, alpha=0.3, linewidth=0)
    dress(left, "Fraction of a patient's cells", "Labeled parasitized", f"Predicted parasitized{', corrected' if corrected else ''}")
    dress(right, "Difference (Bland-Altman)", "Mean of both fractions", "Predicted less labeled fraction")
    place_legend(left, loc="upper left")
    reach = max((abs(value) for value in right.get_ylim()), default=0.1)
    right.set_ylim(-1.1 * reach, 1.9 * reach)
    place_legend(right, loc="upper center", ncols=2)
    return figure


def patient_detection(found: Mapping[str, Any], *, leaky: bool = False) -> Figure:
    """Draws the predicted fractions of healthy patients and of infected ones with few parasites, and the ROC curve of patients.

    Args:
        found: as `patient_level` gives it.
        leaky: stamps LEAKY across the figure.
    """
    figure = new_figure(leaky, WIDE)
    left, right = figure.subplots(1, 2)
    rows = _columns(found)
    blank, detection = (found["detection"][name]["value"] for name in ("limit_of_blank", "limit_of_detection"))
    for (label, color, marker), chosen in zip(GROUPS, (rows["labeled"] > 0, rows["labeled"] == 0), strict=True):
        left.plot(
            rows["labeled"][chosen],
            rows["predicted"][chosen],
            marker,
            color=color,
            markersize=5.5,
            alpha=0.7,
            markeredgecolor="white",
            label=label,
        )
    if blank is not None:
        left.axhline(blank, color=VERMILLION, linewidth=1.2, linestyle="--", label=f"limit of blank {blank:.3f}")
    if detection is not None:
        left.axvline(detection, color=BLUE, linewidth=1.2, linestyle="-.", label=f"limit of detection {detection:.3f}")
    farthest = min(1.0, 4 * (detection or blank or 0.1))
    left.set(xlim=(-0.05 * farthest, farthest), ylim=(-0.05 * farthest, 1.6 * farthest))
    dress(left, "Patients with few parasites", "Labeled fraction", "Predicted fraction")
    place_legend(left, loc="upper left")
    infected = (rows["labeled"] > 0).astype(int)
    if 0 < infected.sum() < len(infected):
        tp, fp = Ranking(infected, rows["predicted"]).curve()
        grid = np.linspace(0, 1, 401)
        if (band := roc_band(infected, rows["predicted"], np.arange(len(infected)).astype(str), grid)) is not None:
            right.fill_between(grid, *band, color=SKY, alpha=0.35, linewidth=0, label="95% band over patients")
        cell = found["auc"]
        limits = "" if cell["low"] is None else f" ({cell['low']:.3f} to {cell['high']:.3f})"
        right.plot(
            np.append(0, fp / fp[-1]), np.append(0, tp / tp[-1]), color=BLUE, linewidth=1.8, label=f"AUC {cell['value']:.3f}{limits}"
        )
    else:
        right.text(0.5, 0.5, "undefined: no healthy or no infected patient", ha="center", va="center", fontsize=TEXT)
    right.plot([0, 1], [0, 1], color=GRAY, linewidth=0.9, linestyle=":", label="chance")
    right.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    dress(right, "ROC curve of patients", "Fraction of healthy patients above a limit", "Fraction of infected patients above it")
    place_legend(right, loc="lower right")
    return figure


def predictive_value_curves(at: Mapping[str, Any], *, threshold: str, leaky: bool = False) -> Figure:
    """Draws PPV and NPV over the fraction of parasitized cells, with bands over patients.

    Args:
        at: the metrics at a threshold.
        threshold: its name.
        leaky: stamps LEAKY across the figure.
    """
    figure, axes = new_axes(leaky)
    prevalence = np.geomspace(1e-4, 0.5, 200)
    found = predictive_values(at["sensitivity"], at["specificity"], prevalence)
    for name, color, style in (("ppv", VERMILLION, "-"), ("npv", BLUE, "--")):
        value, low, high = (np.broadcast_to(each, prevalence.shape) for each in found[name])
        if np.isfinite(low).any():
            axes.fill_between(prevalence, low, high, color=color, alpha=0.25, linewidth=0)
        axes.plot(prevalence, value, style, color=color, linewidth=1.8, label=name.upper())
    axes.set(xscale="log", xlim=(1e-4, 0.5), ylim=(-0.02, 1.02))
    axes.xaxis.set_major_locator(LogLocator())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.10g}"))
    dress(
        axes, f"Predictive values at {threshold}", "Parasitized fraction of all cells looked at", "Fraction of predictions that are right"
    )
    place_legend(axes, loc="center left", title="band: over patients", title_fontsize=TEXT - 2)
    return figure


def _columns(found: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Returns the columns of the patients' fractions; undefined values as nan."""
    rows = found["fractions"]
    return {name: np.array([row[name] for row in rows], dtype=float) for name in rows[0]}
