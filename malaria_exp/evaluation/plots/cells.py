"""Plots of the cells themselves: grids of samples, mean cells, and the colors that stain and camera gave them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from malaria_exp.data.cell_table import CLASS_NAMES, POSITIVE
from malaria_exp.evaluation.plots.image_sheet import Row, Tile, sheet, wrapped_grid
from malaria_exp.evaluation.plots.style import (
    GRAY,
    HEALTHY,
    INFECTED,
    PARASITIZED,
    TEXT,
    UNINFECTED,
    dress,
    new_figure,
    place_legend,
    shorten,
)

FRAMES = (UNINFECTED, PARASITIZED)
# Outside of a cell is black. Pixels of the edge, which resizing mixed with black, are excluded too.
DARK = 40
# CIE 1931 of sRGB (IEC 61966-2-1), and the white point D65.
RGB_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = RGB_TO_XYZ.sum(axis=1)


def class_grid(images: np.ndarray, names: Sequence[str], label: int, *, across: int = 12, leaky: bool = False) -> Figure:
    """Draws sample cells of one class, each under its patient's name.

    Args:
        images: uint8 (n, size, size, 3).
        names: what stands below each.
        label: 1 = parasitized.
        across: pictures a row.
        leaky: stamps LEAKY across the sheet.
    """
    tiles = [Tile(image, shorten(name, 11)) for image, name in zip(images, names, strict=True)]
    return sheet(wrapped_grid(tiles, across), f"Cells labeled {CLASS_NAMES[label]}", leaky=leaky)


def group_grid(groups: Mapping[str, tuple[np.ndarray, np.ndarray]], title: str, *, each: int = 5, leaky: bool = False) -> Figure:
    """Draws a row of cells for each group (a patient, a slide): uninfected ones, then parasitized ones.

    Args:
        groups: by name: images, uint8 (n, size, size, 3), and labels, int8 (n,); at most `each` of a class are drawn.
        title: above.
        each: pictures of a class.
        leaky: stamps LEAKY across the sheet.
    """
    rows = []
    for name, (images, labels) in groups.items():
        tiles: list[Tile | None] = []
        for number, frame in enumerate(FRAMES):
            own = [Tile(image, frame=frame) for image in images[labels == number][:each]]
            tiles += [*own, *[None] * (each - len(own))]
        rows.append(Row(shorten(name, 54), tiles))
    columns = [""] * (2 * each)
    columns[each // 2], columns[each + each // 2] = CLASS_NAMES
    return sheet(rows, title, columns=columns, leaky=leaky)


def mean_cells(images: np.ndarray, labels: np.ndarray, *, leaky: bool = False) -> Figure:
    """Draws the mean cell of each class, how much cells of the class differ from it, and the difference of the two means.

    Args:
        images: uint8 (n, size, size, 3).
        labels: int8 (n,), 1 = parasitized.
        leaky: stamps LEAKY across the figure.
    """
    present = [number for number in (POSITIVE, 1 - POSITIVE) if (labels == number).any()]
    means, spreads = {}, {}
    for number in present:
        own = images[labels == number]
        # float64 in one order of summing, so that the same cells give the same bytes.
        means[number] = own.mean(axis=0, dtype=np.float64)
        spreads[number] = np.sqrt(np.mean([(image - means[number]) ** 2 for image in own], axis=0)).mean(axis=2)
    panels = 2 * len(present) + (len(present) == 2)
    figure = new_figure(leaky, (2.08 * panels, 2.8))
    # One row for the pictures, one for their scales, so that all pictures are as large.
    grid = figure.add_gridspec(2, panels, height_ratios=(16, 1))
    for panel, number in enumerate(present):
        axes: Any = figure.add_subplot(grid[0, panel])
        axes.imshow(np.rint(means[number]).astype(np.uint8), interpolation="nearest")
        axes.set_title(f"mean {CLASS_NAMES[number]}\n({(labels == number).sum():,} cells)", fontsize=TEXT - 1)
        axes.set_axis_off()
    most = max(1.0, *(float(spread.max()) for spread in spreads.values()))
    for panel, number in enumerate(present, start=len(present)):
        _heat_map(figure, grid, panel, spreads[number], f"spread of the\n{CLASS_NAMES[number]}", cmap="viridis", vmin=0, vmax=most)
    if len(present) == 2:
        difference = (means[POSITIVE] - means[1 - POSITIVE]).mean(axis=2)
        most = max(1.0, float(np.abs(difference).max()))
        _heat_map(figure, grid, panels - 1, difference, "parasitized minus\nuninfected", cmap="RdBu_r", vmin=-most, vmax=most)
    return figure


def _heat_map(figure: Figure, grid: Any, panel: int, values: np.ndarray, title: str, **look: Any) -> None:
    """Draws values as a picture with its color scale below."""
    axes: Any = figure.add_subplot(grid[0, panel])
    drawn = axes.imshow(values, interpolation="nearest", **look)
    axes.set_title(title, fontsize=TEXT - 1)
    axes.set_axis_off()
    bar = figure.colorbar(drawn, cax=figure.add_subplot(grid[1, panel]), orientation="horizontal")
    bar.ax.tick_params(labelsize=TEXT - 3)


def cell_colors(images: np.ndarray) -> np.ndarray:
    """Returns the median color of each image's cell, float64 (n, 3) in [0, 255]; a picture without any cell is black."""
    colors = np.zeros((len(images), 3))
    for row, image in enumerate(images):
        inside = image[image.max(axis=2) > DARK]
        if len(inside):
            colors[row] = np.median(inside, axis=0)
    return colors


def to_lab(colors: np.ndarray) -> np.ndarray:
    """Brings sRGB in [0, 255] to CIELAB: lightness 0 to 100, a (green to magenta), b (blue to yellow); float64 (n, 3) to (n, 3)."""
    unit = np.asarray(colors, np.float64) / 255
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    ratio = linear @ RGB_TO_XYZ.T / WHITE
    root = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = root.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def stain_colors(colors: np.ndarray, label: np.ndarray, patient: np.ndarray | None, *, leaky: bool = False) -> Figure:
    """Draws the stain of each patient: its position among the colors, and its uninfected and parasitized cells as swatches.

    Args:
        colors: of each cell, float64 (n, 3) in [0, 255], as `cell_colors` gives them.
        label: int8 (n,), 1 = parasitized.
        patient: str (n,); None where they are not known: then each cell is drawn by itself.
        leaky: stamps LEAKY across the figure.
    """
    groups, number = np.unique(np.arange(len(colors)).astype(str) if patient is None else patient, return_inverse=True)
    unit, words = ("cell", CLASS_NAMES) if patient is None else ("patient", ("healthy", "infected"))
    means = _by_group(colors, number, len(groups))
    lab = to_lab(means)
    infected = np.bincount(number, weights=label == POSITIVE, minlength=len(groups)) > 0
    figure = new_figure(leaky, (8.6, 5.2))
    grid = figure.add_gridspec(2, 2, height_ratios=(5, 2))
    panels = ((2, f"Each mark is a {unit}, in its own color", "b* (blue to yellow)"), (0, "The same, by lightness", "L* (dark to light)"))
    for place, (y, title, up) in enumerate(panels):
        axes: Any = figure.add_subplot(grid[0, place])
        for group, marker, edge, word in ((~infected, "s", HEALTHY, words[0]), (infected, "o", INFECTED, words[1])):
            if group.any():
                look: dict[str, Any] = {
                    "s": 46,
                    "marker": marker,
                    "edgecolors": edge,
                    "linewidths": 1.1,
                    "label": f"{word}: {group.sum():,}",
                }
                axes.scatter(lab[group, 1], lab[group, y], c=means[group] / 255, **look)
        dress(axes, title, "a* (green to magenta)", up)
        place_legend(axes, loc="best")
    strip = np.full((2, len(groups), 3), 255.0)
    for row, kind in enumerate((1 - POSITIVE, POSITIVE)):
        own = label == kind
        found = np.isin(np.arange(len(groups)), number[own])
        strip[row, found] = _by_group(colors[own], number[own], len(groups))[found]
    axes = figure.add_subplot(grid[1, :])
    _draw_strip(axes, strip[:, np.argsort(lab[:, 0], kind="stable")], unit)
    return figure


def _draw_strip(axes: Any, strip: np.ndarray, unit: str) -> None:
    """Draws the colors of the uninfected and the parasitized cells as two rows of swatches, dark to light."""
    axes.imshow(np.rint(strip).astype(np.uint8), interpolation="nearest", aspect="auto")
    axes.set_yticks((0, 1), ("uninfected", "parasitized"), fontsize=TEXT - 1)
    axes.set_xticks([])
    axes.set_xlabel(f"{unit}s, dark to light; white: no such cell", fontsize=TEXT - 1, color=GRAY)
    title = "Median color of each cell" if unit == "cell" else "Median color of each patient's cells"
    axes.set_title(title, fontsize=TEXT + 1, loc="left")


def _by_group(colors: np.ndarray, number: np.ndarray, groups: int) -> np.ndarray:
    """Returns the mean color of each group, (groups, 3); black for one without cells."""
    count = np.maximum(1, np.bincount(number, minlength=groups))
    return np.stack([np.bincount(number, weights=channel, minlength=groups) / count for channel in colors.T], axis=1)
