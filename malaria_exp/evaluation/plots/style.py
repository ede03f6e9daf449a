"""The look that all plots share: figures without global state, colors that color-blind people can tell apart, the LEAKY stamp.

Plots take `leaky`: True stamps LEAKY across the figure, so that a picture that is passed on alone still says that training and
evaluation share patients or images.
"""

import io
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from malaria_exp.utils.atomic_files import write_bytes

# A user's matplotlibrc would change the pictures, or end a run that has trained (text.usetex without LaTeX).
mpl.rcdefaults()

# Okabe and Ito 2008, "Color Universal Design". The two classes also differ in hatch or marker, for prints in gray.
VERMILLION, BLUE, GREEN, ORANGE, PURPLE, SKY, BLACK = "#D55E00", "#0072B2", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#000000"
PARASITIZED, UNINFECTED = VERMILLION, BLUE
# Of patients with and without a parasitized cell.
INFECTED, HEALTHY = PURPLE, GREEN
GRAY, LIGHT_GRAY, GRID = "#595959", "#BDBDBD", "#E3E3E3"
# (color, marker, line style) of thresholds in the order they come.
THRESHOLD_STYLES = ((BLACK, "o", "--"), (GREEN, "D", "-."), (PURPLE, "s", ":"), (ORANGE, "^", "--"), (SKY, "v", "-."))
SIZE = (5.2, 4.4)
TEXT = 10
DPI = 150


def new_figure(leaky: bool, size: tuple[float, float] = SIZE) -> Figure:
    """Returns an empty figure of `size` inches with the stamp if it is leaky; matplotlib.pyplot is never involved."""
    figure = Figure(figsize=size, layout="constrained")
    if leaky:
        look: dict[str, Any] = {"fontsize": 18 * min(size), "color": VERMILLION, "alpha": 0.3, "weight": "bold", "zorder": 1000}
        figure.text(0.5, 0.5, "LEAKY", rotation=30, ha="center", va="center", **look)
    return figure


def new_axes(leaky: bool, size: tuple[float, float] = SIZE) -> tuple[Figure, Any]:
    """Returns a figure as `new_figure` does, and axes that fill it."""
    figure = new_figure(leaky, size)
    return figure, figure.add_subplot()


def dress(axes: Any, title: str, x: str, y: str) -> None:
    """Labels the axes, sets sizes that stay legible at report size, and takes away the frame's upper and right side."""
    axes.set_title(title, fontsize=TEXT + 1, loc="left")
    axes.set_xlabel(x, fontsize=TEXT)
    axes.set_ylabel(y, fontsize=TEXT)
    axes.tick_params(labelsize=TEXT - 1)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)


def count_axis(axes: Any, numbers: Iterable[float]) -> None:
    """Gives the x axis whole numbers alone; one number alone, such as the only epoch, stands in the middle."""
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if len(found := set(numbers)) == 1:
        (number,) = found
        axes.set_xticks([number], [f"{number:g}"])
        axes.set_xlim(number - 0.5, number + 0.5)


def place_legend(axes: Any, **options: Any) -> None:
    """Adds a legend of the labeled artists in the common size."""
    axes.legend(fontsize=TEXT - 1.5, frameon=True, framealpha=0.9, edgecolor="none", **options)


def mark_thresholds(axes: Any, thresholds: Mapping[str, float] | None, place: Callable[[float], tuple[Any, Any]] | None = None) -> None:
    """Marks thresholds, each in a style of its own, with its name and value in the legend.

    Args:
        axes: to draw on.
        thresholds: by name; at most as many as THRESHOLD_STYLES has are drawn.
        place: gives the point (x, y) of a threshold's mark; None draws vertical lines at the thresholds.
    """
    for (name, threshold), (color, marker, line) in zip((thresholds or {}).items(), THRESHOLD_STYLES, strict=False):
        label = f"{name} = {threshold:.3g}"
        if place is None:
            axes.axvline(threshold, color=color, linestyle=line, linewidth=1.3, label=label)
        else:
            axes.plot(*place(threshold), marker, color=color, markersize=7, markeredgecolor="white", zorder=3, label=label)


def shorten(name: str, letters: int) -> str:
    """Returns a name of at most so many letters; a longer one ends in an ellipsis."""
    return name if len(name) <= letters else f"{name[: letters - 1]}…"


def png_bytes(figure: Figure) -> bytes:
    """Returns the figure as PNG at 150 dpi; equal figures give equal bytes, for no date or version is stored."""
    buffer = io.BytesIO()
    figure.set_dpi(DPI)
    # savefig would draw everything once more to lay it out.
    if figure.axes and (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None}, facecolor="white")
    return buffer.getvalue()


def save_png(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Writes `png_bytes(figure)` atomically.

    Returns:
        The path written.
    """
    return write_bytes(path, png_bytes(figure))
