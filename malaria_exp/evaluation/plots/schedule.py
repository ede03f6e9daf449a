"""The picture of a learning-rate schedule over a run."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from malaria_exp.config.durations import RunLength
from malaria_exp.evaluation.plots.style import BLUE, GRAY, GREEN, TEXT, VERMILLION, dress, new_axes, place_legend


def draw_schedule(title: str, rates: np.ndarray, length: RunLength, stages: Sequence[int] = ()) -> Figure:
    """Draws the learning rate of every step, over epochs below and steps above; peak and last value are marked.

    Args:
        title: says which optimizer and schedule.
        rates: (steps,), the rate of each step.
        length: of the run.
        stages: epochs of each stage of the training; the borders between two or more are drawn.
    """
    figure, axes = new_axes(False, (7.0, 3.9))
    epochs = length.epochs_at(np.arange(len(rates)))
    axes.plot(epochs, rates, color=BLUE, linewidth=1.8)
    for number, end in enumerate(np.cumsum(stages)[:-1]):
        axes.axvline(end, color=GRAY, linestyle=":", linewidth=1.2, label=None if number else "next stage")
    peak = int(np.argmax(rates))
    for step, color, marker, label in (
        (peak, VERMILLION, "o", f"peak {rates[peak]:.3g}, step {peak + 1:,}"),
        (len(rates) - 1, GREEN, "D", f"last {rates[-1]:.3g}, step {len(rates):,}"),
    ):
        axes.plot(epochs[step], rates[step], color=color, marker=marker, linestyle="none", label=label, zorder=3, clip_on=False)
    dress(axes, title, "Epochs done", "Learning rate")
    axes.set_xlim(0, length.epochs)
    axes.set_ylim(0, 1.08 * float(rates.max()))

    steps = axes.secondary_xaxis("top", functions=(length.steps_at, length.epochs_at))
    steps.set_xlabel("Steps done", fontsize=TEXT)
    steps.tick_params(labelsize=TEXT - 1)
    steps.xaxis.set_major_locator(MaxNLocator(integer=True))
    steps.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    place_legend(axes)
    return figure
