"""Sheets of pictures: rows of tiles with their captions, in which every pixel of an image is a square of whole pixels."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from malaria_exp.evaluation.plots.style import BLACK, DPI, GRAY, PARASITIZED, TEXT, UNINFECTED, new_figure

# Pixels of the sheet. A tile is enlarged by a whole factor to about this edge, so that the cell's pixels stay what they are.
TILE = 112
# A tile is at most so many times as large as the edge that is asked for.
LARGEST = 1.5
GAP, MARGIN, TITLE, LINE, BAR = 10, 18, 44, 21, 10
ROW_LABEL_LETTERS = 18
# Widths of letters in pixels, at the sizes used below. They only make room; no text is cut by them.
LETTER, TITLE_LETTER = 9.6, 13.0


@dataclass(frozen=True, eq=False)
class Tile:
    """A picture on a sheet.

    Attributes:
        image: uint8 (height, width, 3).
        caption: below it, one line or several.
        label: in [0, 1], as a bar below it, filled as far as the label says parasitized; None for no bar.
        frame: color of its frame; None for none.
    """

    image: np.ndarray
    caption: str = ""
    label: float | None = None
    frame: str | None = None


@dataclass(frozen=True, eq=False)
class Row:
    """A row of a sheet: what is written in front of it, and its tiles; None leaves a place empty."""

    label: str
    tiles: Sequence[Tile | None] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Scale:
    """What the colors of a column mean: a bar below it.

    Attributes:
        colors: uint8 (n, 3), from left to right.
        ends: what stands below its left and its right end.
        label: what it measures.
    """

    colors: np.ndarray
    ends: tuple[str, str]
    label: str


def to_pixels(images: np.ndarray) -> np.ndarray:
    """Returns images in [0, 1], float32, as uint8."""
    return np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)


def enlarged(image: np.ndarray, goal: int = TILE) -> np.ndarray:
    """Returns an image with each pixel repeated a whole number of times; one far over the goal is averaged over blocks instead."""
    edge = max(image.shape[:2])
    if edge > LARGEST * goal:
        block = math.ceil(edge / (LARGEST * goal))
        height, width = (side // block * block for side in image.shape[:2])
        blocks = image[:height, :width].reshape(height // block, block, width // block, block, 3)
        return np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)
    factor = max(1, round(goal / edge))
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def wrapped_grid(tiles: Sequence[Tile], across: int) -> list[Row]:
    """Returns tiles as rows of `across`, with nothing in front."""
    return [Row("", tiles[start : start + across]) for start in range(0, len(tiles), across)]


def sheet(
    rows: Sequence[Row],
    title: str,
    *,
    columns: Sequence[str] = (),
    scales: Sequence[Scale | None] = (),
    goal: int = TILE,
    leaky: bool = False,
) -> Figure:
    """Draws rows of pictures on one sheet.

    Args:
        rows: at least one tile among them; all images are squares of one size.
        title: above.
        columns: what stands above each column.
        scales: below each column; None for none.
        goal: edge of a tile in pixels, about.
        leaky: stamps LEAKY across the sheet.
    """
    big = [[None if tile is None else enlarged(tile.image, goal) for tile in row.tiles] for row in rows]
    edge = next(image.shape[0] for images in big for image in images if image is not None)
    labels = [textwrap.wrap(row.label, ROW_LABEL_LETTERS, max_lines=5) for row in rows]
    longest = max((len(line) for lines in labels for line in lines), default=0)
    left = MARGIN + (int(longest * LETTER) + 2 * GAP if longest else 0)
    across = max(len(row.tiles) for row in rows)
    width = max(left + across * (edge + GAP) + MARGIN, int(2 * MARGIN + len(title) * TITLE_LETTER))
    tops, y = [], TITLE + (LINE + 6 if any(columns) else 0)
    for row, lines in zip(rows, labels, strict=True):
        tops.append(y)
        y += max(edge + _below(row) + GAP, len(lines) * LINE + GAP)
    bottom, height = y, y + MARGIN - GAP + (BAR + 3 * LINE if any(scales) else 0)
    canvas = np.full((height, width, 3), 255, np.uint8)
    # A hundredth of a pixel more, as rounding the size in inches could lose a pixel.
    figure = new_figure(leaky, ((width + 0.01) / DPI, (height + 0.01) / DPI))
    # Everything has its place already.
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    text: dict[str, Any] = {"fontsize": TEXT - 2, "parse_math": False}
    axes.text(MARGIN, TITLE / 2, title, fontsize=TEXT + 1, va="center", parse_math=False)
    for place, name in enumerate(columns):
        axes.text(left + place * (edge + GAP) + edge / 2, TITLE + LINE / 2, name, ha="center", va="center", color=GRAY, **text)
    for row, images, lines, top in zip(rows, big, labels, tops, strict=True):
        if lines:
            axes.text(MARGIN, top + edge / 2, "\n".join(lines), va="center", color=BLACK, **text)
        for place, (tile, image) in enumerate(zip(row.tiles, images, strict=True)):
            if tile is None or image is None:
                continue
            x = left + place * (edge + GAP)
            _paint(canvas, tile, image, x, top)
            if tile.caption:
                below = top + edge + 3 + (BAR + 3 if tile.label is not None else 0)
                axes.text(x + edge / 2, below, tile.caption, ha="center", va="top", color=GRAY, linespacing=1.1, **text)
    for place, scale in enumerate(scales):
        if scale is not None:
            x, below = left + place * (edge + GAP), bottom + BAR + 3
            canvas[bottom : bottom + BAR, x : x + edge] = scale.colors[np.arange(edge) * len(scale.colors) // edge]
            for at, side, end in zip((x, x + edge), ("left", "right"), scale.ends, strict=True):
                axes.text(at, below, end, ha=side, va="top", color=BLACK, **text)
            wrapped = textwrap.wrap(scale.label, max(8, int(edge / LETTER)), max_lines=2)
            axes.text(x + edge / 2, below + LINE, "\n".join(wrapped), ha="center", va="top", color=GRAY, linespacing=1.1, **text)
    axes.set(xlim=(0, width), ylim=(height, 0))
    # With its own alpha channel; matplotlib would make one and resample it.
    opaque = np.dstack([canvas, np.full((height, width), 255, np.uint8)])
    figure.figimage(opaque, origin="upper", zorder=-1)
    return figure


def _below(row: Row) -> int:
    """Returns the pixels that bars and captions take below a row's pictures."""
    tiles = [tile for tile in row.tiles if tile is not None]
    bar = BAR + 3 if any(tile.label is not None for tile in tiles) else 0
    lines = max((tile.caption.count("\n") + 1 for tile in tiles if tile.caption), default=0)
    return bar + (lines * LINE + 4 if lines else 0)


def _paint(canvas: np.ndarray, tile: Tile, image: np.ndarray, x: int, y: int) -> None:
    """Puts a tile with its frame and its bar on the canvas."""
    height, width = image.shape[:2]
    if tile.frame is not None:
        canvas[y - 3 : y + height + 3, x - 3 : x + width + 3] = _color(tile.frame)
    canvas[y : y + height, x : x + width] = image
    if tile.label is not None:
        top = y + height + 4
        canvas[top : top + BAR, x : x + width] = _color(UNINFECTED)
        canvas[top : top + BAR, x : x + round(width * tile.label)] = _color(PARASITIZED)


def _color(name: str) -> np.ndarray:
    return np.rint(np.array(to_rgb(name)) * 255).astype(np.uint8)
