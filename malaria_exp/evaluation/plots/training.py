"""The plot of a training: losses, metrics and learning rate over the epochs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from malaria_exp.evaluation.metrics import METRICS, direction
from malaria_exp.evaluation.plots.style import BLUE, GREEN, TEXT, VERMILLION, count_axis, dress, new_figure

MOST_PANELS = 6
# What matters most comes first; the monitor stands right behind the loss.
ORDER = ("auc", "accuracy", "sensitivity", "specificity", "learning_rate", *METRICS)


def training_curves(
    history: Sequence[Mapping[str, Any]], *, monitor: str = "val_auc", best_epoch: int | None = None, leaky: bool = False
) -> Figure:
    """Draws a panel for the loss, the monitor, and up to four other metrics or the learning rate; the best epoch is marked.

    Args:
        history: a row an epoch, as history.csv has it: "epoch" (else counted from 1), "loss", "val_loss", metrics with and without
            "val_", "learning_rate". Values may be text; what is missing or no number is a gap. Other columns are passed over.
        monitor: the column that decides the best epoch; val_loss if it is absent, and no mark if both are.
        best_epoch: as the trainer chose it; found in the monitor's column if it is not given.
        leaky: stamps LEAKY across the figure.

    Raises:
        ValueError: the history is empty.
    """
    if not history:
        raise ValueError("Expected a history of at least one epoch. Received: none")
    columns = {name: np.array([_number(row.get(name)) for row in history]) for name in dict.fromkeys(key for row in history for key in row)}
    epochs = columns.get("epoch", np.arange(1.0, len(history) + 1))
    order = dict.fromkeys(("loss", monitor.removeprefix("val_"), *ORDER))
    bases = [base for base in order if base in columns or f"val_{base}" in columns][:MOST_PANELS]
    across = min(3, max(1, len(bases)))
    figure = new_figure(leaky, (3.1 * across + 0.4, 2.6 * math.ceil(max(1, len(bases)) / across) + (1.0 if across == 1 else 0.5)))
    best = (monitor, best_epoch) if best_epoch else _best_epoch(columns, epochs, monitor)
    for place, base in enumerate(bases, start=1):
        axes = figure.add_subplot(math.ceil(len(bases) / across), across, place)
        for name, label, color, line in ((base, "training", BLUE, "-"), (f"val_{base}", "validation", VERMILLION, "--")):
            if name in columns:
                marker = "o" if len(history) < 2 else None
                axes.plot(epochs, columns[name], color=color, linestyle=line, marker=marker, linewidth=1.5, label=label)
        if best is not None:
            axes.axvline(
                best[1],
                color=GREEN,
                linestyle=":",
                linewidth=1.3,
                label=f"{'kept' if best_epoch else 'best by ' + best[0]}: epoch {best[1]:g}",
            )
        title = METRICS[base].label if base in METRICS else base.replace("_", " ").capitalize()
        dress(axes, title, "Epoch", {"loss": "Loss (as trained)", "learning_rate": "Learning rate"}.get(base, title))
        count_axis(axes, epochs)
        if base == "learning_rate" and np.nanmin(columns[base]) > 0:
            axes.set_yscale("log")
    # Below all panels: inside of one it would lie on the curves.
    handles, labels = figure.axes[0].get_legend_handles_labels() if figure.axes else ([], [])
    if handles:
        figure.legend(
            handles, labels, loc="outside lower center", ncols=1 if across == 1 else len(handles), fontsize=TEXT - 0.5, frameon=False
        )
    return figure


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _best_epoch(columns: Mapping[str, np.ndarray], epochs: np.ndarray, monitor: str) -> tuple[str, float] | None:
    for name in (monitor, "val_loss"):
        if name in columns and np.isfinite(columns[name]).any():
            values = columns[name] if direction(name) == "max" else -columns[name]
            return name, float(epochs[np.nanargmax(values)])
    return None
