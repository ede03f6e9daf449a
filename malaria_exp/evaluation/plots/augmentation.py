"""Plots of what augmentation does: before and after, series over the values of a key, mixed pairs, and whole batches.

Images are float32 (n, size, size, 3) in [0, 1], labels float32 (n,) in [0, 1], 1 = parasitized.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from malaria_exp.evaluation.plots.image_sheet import Row, Tile, sheet, to_pixels, wrapped_grid
from malaria_exp.evaluation.plots.style import BLUE, GRAY, TEXT, dress, new_axes, place_legend

BATCH_ACROSS = 12


@dataclass(frozen=True, eq=False)
class Draw:
    """What an augmentation made of a batch once: its name, images and labels."""

    name: str
    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class ValueSeries:
    """One cell under several values of a key, all else and the seed the same.

    Attributes:
        key: of the option.
        values: as text.
        images: of each value.
        labels: of each value.
        original: the untreated cell.
    """

    key: str
    values: Sequence[str]
    images: np.ndarray
    labels: np.ndarray
    original: np.ndarray


@dataclass(frozen=True, eq=False)
class Pair:
    """A mixed cell: itself, its partner, what came out, and both labels; weight is the partner's fraction of the label."""

    own: np.ndarray
    partner: np.ndarray
    mixed: np.ndarray
    own_label: float
    partner_label: float
    label: float
    weight: float


def before_after(title: str, before: Draw, after: Sequence[Draw], *, labeled: bool, leaky: bool = False) -> Figure:
    """Draws a batch above what several draws made of it; with `labeled` each picture has its label as bar and number."""
    rows = []
    for draw in (before, *after):
        pixels = to_pixels(draw.images)
        labels = draw.labels.tolist()
        rows.append(Row(draw.name, [_labeled(*one) if labeled else Tile(one[0]) for one in zip(pixels, labels, strict=True)]))
    return sheet(rows, title, leaky=leaky)


def value_series(title: str, found: Sequence[ValueSeries], *, labeled: bool, leaky: bool = False) -> Figure:
    """Draws a row for each key: the cell untreated, then under each value."""
    rows = []
    for series in found:
        tiles = [Tile(to_pixels(series.original), "original")]
        for value, image, label in zip(series.values, to_pixels(series.images), series.labels, strict=True):
            tiles.append(Tile(image, f"{value}\nlabel {label:.2f}" if labeled else value, label=float(label) if labeled else None))
        rows.append(Row(series.key, tiles))
    return sheet(rows, title, leaky=leaky)


def mixed_pairs(title: str, pairs: Sequence[Pair], *, leaky: bool = False) -> Figure:
    """Draws a column for each pair: the cell, its partner, and the mixed cell, with their labels; below, the fractions of both."""
    rows = [
        Row("cell", [_labeled(to_pixels(pair.own), pair.own_label) for pair in pairs]),
        Row("its partner", [_labeled(to_pixels(pair.partner), pair.partner_label) for pair in pairs]),
        Row(
            "mixed",
            [
                Tile(to_pixels(pair.mixed), f"label {pair.label:.3f}\n{1 - pair.weight:.2f} + {pair.weight:.2f}", label=pair.label)
                for pair in pairs
            ],
        ),
    ]
    return sheet(rows, title, leaky=leaky)


def partner_weights(title: str, weights: np.ndarray, *, leaky: bool = False) -> Figure:
    """Draws a histogram of the partners' fractions of labels; `weights` is float (n,) in [0, 1]."""
    figure, axes = new_axes(leaky, (5.2, 2.8))
    axes.hist(weights, np.linspace(0, 1, 21), color=BLUE, edgecolor="white", linewidth=0.6)
    axes.axvline(weights.mean(), color=GRAY, linestyle="--", linewidth=1, label=f"mean {weights.mean():.2f}")
    dress(axes, title, "partner's fraction of the label", f"of {len(weights):,} pairs")
    axes.set_xlim(0, 1)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    place_legend(axes, loc="upper center", title_fontsize=TEXT - 2)
    return figure


def batch(title: str, images: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None, *, leaky: bool = False) -> Figure:
    """Draws a batch as the model gets it, each picture with its label as bar and number, and with its weight if it has one."""
    tiles = []
    for place, image in enumerate(to_pixels(images)):
        tile = _labeled(image, float(labels[place]))
        if weights is not None:
            tile = Tile(image, f"{tile.caption}\nweight {weights[place]:.2f}", label=tile.label)
        tiles.append(tile)
    return sheet(wrapped_grid(tiles, BATCH_ACROSS), title, leaky=leaky)


def _labeled(image: np.ndarray, label: float) -> Tile:
    return Tile(image, f"{label:.2f}" if label % 1 else f"{label:.0f}", label=label)
