"""The picture of a learning-rate schedule over a run."""

import numpy as np
from matplotlib.figure import Figure

from malaria_exp.durations import RunLength
from malaria_exp.evaluation._style import BLUE, GREEN, TEXT, VERMILLION, dress, new_figure, place_legend


def draw_schedule(title: str, rates: np.ndarray, length: RunLength) -> Figure:
    """Draws the learning rate of every step, over epochs below and steps above; peak and last value are marked.

    Args:
        title: says which optimizer and schedule.
        rates: (steps,), the rate of each step.
        length: of the run.
    """
    figure = new_figure(False, (7.0, 3.9))
    axes = figure.add_subplot()
    epochs = np.arange(len(rates)) / length.steps_per_epoch
    axes.plot(epochs, rates, color=BLUE, linewidth=1.8)
    peak = int(np.argmax(rates))
    for step, colour, marker, label in (
        (peak, VERMILLION, "o", f"peak {rates[peak]:.3g} at step {peak + 1:,}"),
        (len(rates) - 1, GREEN, "D", f"last {rates[-1]:.3g}"),
    ):
        axes.plot(epochs[step], rates[step], color=colour, marker=marker, linestyle="none", label=label)
    dress(axes, title, "Epoch", "Learning rate")
    axes.set_xlim(0, length.epochs)
    axes.set_ylim(bottom=0)
    steps = axes.secondary_xaxis("top", functions=(lambda x: x * length.steps_per_epoch, lambda x: x / length.steps_per_epoch))
    steps.set_xlabel("Step", fontsize=TEXT - 1)
    steps.tick_params(labelsize=TEXT - 2)
    place_legend(axes)
    return figure
