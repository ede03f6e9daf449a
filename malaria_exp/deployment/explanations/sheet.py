"""Cells and their maps on a sheet: a row a cell, a column a method, every cell at its own size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from malaria_exp.data.cell_table import CLASS_NAMES
from malaria_exp.data.resize import ResizeRule, resize
from malaria_exp.deployment.explanations.explained_model import inside
from malaria_exp.deployment.explanations.overlay import blend, overlay, to_cell
from malaria_exp.evaluation.plots.image_sheet import Row, Scale, Tile, sheet

# Of all places of all cells shown, the fraction that is drawn in full color; a few pixels would else leave everything else gray.
STRONGEST = 0.005
# Width of a column at least, so that what stands above and below it has room. A cell at its own size is about 140 pixels wide.
LEAST_EDGE = 150
WHITE = 255


@dataclass(frozen=True, eq=False)
class ShownCell:
    """A cell that is explained.

    Attributes:
        name: of the cell, or of its file.
        image: RGB, uint8 (height, width, 3), at its own size.
        square: as the model takes it, uint8 (size, size, 3).
        score: the calibrated probability of parasitized.
        patient: whom it comes from; "" where nobody knows.
        label: 1 = parasitized; None without one.
        parasites: where they are, bool (height, width); None where nobody knows.
    """

    name: str
    image: np.ndarray
    square: np.ndarray
    score: float
    patient: str = ""
    label: int | None = None
    parasites: np.ndarray | None = None

    @classmethod
    def of(cls, name: str, image: np.ndarray, rule: ResizeRule, score: float, **more: object) -> "ShownCell":
        """Returns a cell from its image at its own size."""
        return cls(name, image, resize(image, rule), score, **more)  # type: ignore[arg-type]

    def words(self, threshold: float) -> str:
        """Returns what is known of it, in a line."""
        label = "" if self.label is None else f"labeled {CLASS_NAMES[self.label]}, "
        whose = f"{self.patient}: " if self.patient else ""
        return f"{whose}{label}predicted {CLASS_NAMES[self.score >= threshold]}, score {self.score:.3f}"


def full_color(maps: np.ndarray, cells: Sequence[ShownCell]) -> float:
    """Returns the strength that is drawn in full color, one for all cells, so that a map in which little counts stays gray.

    Args:
        maps: (N, m, m), of one method.
        cells: the N cells.
    """
    edge = cells[0].square.shape[:2]
    rule = ResizeRule(edge[0], "stretch")
    own = [np.abs(to_cell(values, edge, rule))[inside(cell.square)] for values, cell in zip(maps, cells, strict=True)]
    return float(np.quantile(np.concatenate([*own, np.zeros(1)]), 1 - STRONGEST)) or 1.0


def draw_sheet(
    title: str,
    cells: Sequence[ShownCell],
    maps: Mapping[str, np.ndarray],
    units: Mapping[str, str],
    full: Mapping[str, float],
    rule: ResizeRule,
    threshold: float,
    *,
    first: int = 1,
    leaky: bool = False,
) -> Figure:
    """Draws cells and their maps.

    Args:
        title: above.
        cells: N cells, at least one.
        maps: by method, (N, m, m).
        units: by method, what its numbers are.
        full: by method, see `full_color`.
        rule: how cells become what the model takes.
        threshold: at which they are predicted parasitized.
        first: number of the first cell.
        leaky: stamps LEAKY across the sheet.
    """
    edge = max(LEAST_EDGE, *(max(cell.image.shape[:2]) for cell in cells))
    rows = []
    for place, cell in enumerate(cells):
        known = cell.parasites is not None and cell.parasites.any()
        tiles: list[Tile | None] = [Tile(_framed(outlined(cell) if known else cell.image, edge))]
        for name, values in maps.items():
            strength = np.clip(to_cell(values[place], cell.image.shape[:2], rule) / full[name], -1, 1)
            tiles.append(Tile(_framed(overlay(cell.image, strength), edge)))
        rows.append(Row(f"{first + place}. {cell.words(threshold)}", tiles))
    scales = [None, *(Scale(blend(np.full(256, 200.0), np.linspace(-1, 1, 256)), _ends(full[name]), units[name]) for name in maps)]
    columns = ["cell", *(name.replace("_", " ") for name in maps)]
    return sheet(rows, title, columns=columns, scales=scales, goal=edge, leaky=leaky)


def outlined(cell: ShownCell) -> np.ndarray:
    """Returns the picture of a cell with a white line around its parasites, which are known."""
    from scipy.ndimage import binary_dilation  # imported late, as in `clopper_pearson`

    line = binary_dilation(cell.parasites, iterations=3) & ~binary_dilation(cell.parasites, iterations=2)
    return np.where(line[..., None], np.uint8(WHITE), cell.image)


def _framed(image: np.ndarray, edge: int) -> np.ndarray:
    """Returns an image in the middle of a black square."""
    square = np.zeros((edge, edge, 3), np.uint8)
    (height, width), top, left = image.shape[:2], (edge - image.shape[0]) // 2, (edge - image.shape[1]) // 2
    square[top : top + height, left : left + width] = image
    return square


def _ends(full: float) -> tuple[str, str]:
    return f"-{full:.2g}", f"+{full:.2g}"
