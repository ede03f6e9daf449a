"""Draws the sheets of docs/synthetic-cells.md: a sheet for every kind of thing that is simulated, and one for every parameter.

    python benchmarks/synthetic_sheets.py [folder]

Writes synthetic-*.png into the folder, docs/images by default. The same code draws the same sheets.
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from malaria_exp.components.dataset.drawing import forms, lookalikes
from malaria_exp.components.dataset.drawing.body import draw_body
from malaria_exp.components.dataset.drawing.look import Look, draw_look
from malaria_exp.components.dataset.drawing.outline import ODDITIES
from malaria_exp.components.dataset.drawing.pen import Pen, Thing, place
from malaria_exp.components.dataset.synthetic import synthetic
from malaria_exp.data.cell_table import CellTable

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "images"
TILE, GAP, LABEL = 96, 2, 140
COLUMNS = 8
COLORS = 256  # of a sheet's palette: its file is a third as large, and the eye does not see it
RADIUS = 62.0
BACKGROUND, INK = (46, 46, 50), (235, 235, 235)
LONG_NAMES = {
    "applique": "applique form",
    "dot_alone": "dot out of focus",
    "howell_jolly": "Howell-Jolly body",
    "cabot_ring": "Cabot-like ring",
}
# Keys with values that tell what they do, and the rows' heading.
PARAMETERS: dict[str, tuple[Any, ...]] = {
    "late_fraction": (0.0, 0.5, 1.0),
    "cell_size": (60, 130, 180),
    "odd_shape_fraction": (0.0, 0.3, 1.0),
    "lookalike_fraction": (0.0, 0.3, 1.0),
    "contrast": (0.0, 0.3, 0.6, 1.0),
    "softness": (0.0, 1.0, 4.0),
    "noise": (0.0, 1.0, 4.0),
    "stain_shift": (0.0, 1.0, 2.0),
}


@dataclass(frozen=True)
class Row:
    """One row of a sheet: its text, and uint8 pictures (height, width, 3) of any size."""

    text: str
    pictures: list[np.ndarray]


def main() -> int:
    """Draws every sheet and prints where it lies."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    sheets: dict[str, Callable[[], Iterable[Row]]] = {
        "patients": patients,
        "parasites": partial(things, (*forms.EARLY, *forms.LATE, (forms.clefts, 1.0)), forms.ZONES, forms.ANYWHERE),
        "infections": infections,
        "lookalikes": partial(things, lookalikes.LOOKALIKES, lookalikes.ZONES, lookalikes.ANYWHERE),
        "outlines": outlines,
        **{key: partial(parameter, key, values) for key, values in PARAMETERS.items()},
    }
    for name, rows in sheets.items():
        path = folder / f"synthetic-{name.replace('_', '-')}.png"
        # Cells keep their sizes beside each other only where size is the matter.
        sheet(list(rows()), scale=TILE / 220 if name == "cell_size" else None).save(path, optimize=True)
        print(f"{path} ({path.stat().st_size / 1000:.0f} kB)")
    return 0


def patients() -> Iterable[Row]:
    """Yields patients of the default set: infected ones with both classes, the last one healthy."""
    table = synthetic()
    infected = np.unique(table.patient[table.label == 1])[:6].tolist()
    for patient in (*infected, "P5002"):
        rows = np.flatnonzero(table.patient == patient)
        sick = rows[table.label[rows] == 1][:5]
        plain = rows[table.label[rows] == 0][: COLUMNS + 2 - len(sick)]
        yield Row(f"{patient}\n{len(sick)} parasitized,\n{len(plain)} uninfected", _read(table, [*sick, *plain]))


def things(kinds: tuple[tuple[Thing, float], ...], zones: dict[Thing, tuple[float, float]], anywhere: tuple[float, float]) -> Iterable[Row]:
    """Yields each thing on the same cells of different patients, with its fraction among its kind."""
    for thing, fraction in kinds:
        pictures = []
        for number in range(COLUMNS):
            rng, look = np.random.default_rng([7, number]), _look(number)
            canvas = draw_body(rng, look, RADIUS, softness=look.softness, noise=look.noise, odd_shape_fraction=0.0)
            y, x = canvas.center if thing is forms.clefts else place(rng, canvas, RADIUS, *zones.get(thing, anywhere))
            thing(Pen(canvas, rng, look, y, x, RADIUS, dark=0.85))
            pictures.append(canvas.finish())
        fraction_text = "" if thing is forms.clefts else f"\n{100 * fraction:.0f}%"
        yield Row(LONG_NAMES.get(thing.__name__, thing.__name__.replace("_", " ")) + fraction_text, pictures)


def infections() -> Iterable[Row]:
    """Yields whole parasitized cells by how well they are stained."""
    table = synthetic(seed=3, infected_patients=30, healthy_patients=0, cells_per_patient=12, lookalike_fraction=0.0)
    parasitized = np.flatnonzero(table.label == 1)
    blank = synthetic(seed=3, infected_patients=30, healthy_patients=0, cells_per_patient=12, lookalike_fraction=0.0, contrast=0.0)
    cells = [(table.source.read(index), blank.source.read(index)) for index in parasitized.tolist()]
    change = [np.abs(seen.astype(int) - plain.astype(int)).max() for seen, plain in cells]
    order = np.argsort(change)
    for text, picks in (("faintest", order[:COLUMNS]), ("middling", order[len(order) // 2 :][:COLUMNS]), ("strongest", order[-COLUMNS:])):
        yield Row(text, [cells[index][0] for index in picks.tolist()])


def outlines() -> Iterable[Row]:
    """Yields cells without and with each oddity, from round to ragged ones."""
    for oddity in (None, *dict.fromkeys(ODDITIES)):
        pictures = []
        for number in range(COLUMNS):
            look, choice = _look(number), () if oddity is None else (oddity,)
            canvas = draw_body(
                np.random.default_rng([8, number]),
                look,
                RADIUS,
                softness=look.softness,
                noise=look.noise,
                odd_shape_fraction=float(oddity is not None),
                oddities=choice,
            )
            pictures.append(canvas.finish())
        yield Row("plain" if oddity is None else oddity.__name__, pictures)


def parameter(key: str, values: tuple[Any, ...]) -> Iterable[Row]:
    """Yields the same cells at several values of one parameter: parasitized ones, then uninfected ones."""
    for value in values:
        table = synthetic(seed=5, infected_patients=8, healthy_patients=4, cells_per_patient=16, **{key: value})
        plain = key in ("odd_shape_fraction", "lookalike_fraction")
        groups = (
            _every(table.infected & (table.label == 1), 0 if plain else 5),
            _every(~table.infected, COLUMNS if plain else 3),
        )
        yield Row(f"{key}\n{value}", _read(table, [*groups[0], *groups[1]]))


def _every(mask: np.ndarray, count: int) -> list[int]:
    """Returns `count` cells evenly from those of the mask."""
    rows = np.flatnonzero(mask)
    return rows[np.linspace(0, len(rows) - 1, count).astype(int)].tolist() if count else []


def _look(number: int) -> Look:
    patient, slide, field = (np.random.default_rng([number, stream]) for stream in range(3))
    return draw_look(patient, slide, field)


def _read(table: CellTable, indices: Iterable[int]) -> list[np.ndarray]:
    return [table.source.read(int(index)) for index in indices]


def sheet(rows: list[Row], scale: float | None) -> Image.Image:
    """Puts rows under each other, each with its text at the left.

    Args:
        rows: the rows.
        scale: how much smaller pictures are shown; None makes each fill its tile.
    """
    columns = max(len(row.pictures) for row in rows)
    paper = Image.new("RGB", (LABEL + columns * (TILE + GAP), len(rows) * (TILE + GAP)), BACKGROUND)
    pen, font = ImageDraw.Draw(paper), ImageFont.load_default(size=15)
    for number, row in enumerate(rows):
        top = number * (TILE + GAP)
        pen.multiline_text((6, top + TILE / 2), row.text, INK, font, anchor="lm", spacing=2)
        for column, picture in enumerate(row.pictures):
            height, width = picture.shape[:2]
            factor = scale or TILE / max(height, width)
            small = Image.fromarray(picture).resize((max(1, round(width * factor)), max(1, round(height * factor))), Image.Resampling.BOX)
            left = LABEL + column * (TILE + GAP)
            paper.paste(small, (left + (TILE - small.width) // 2, top + (TILE - small.height) // 2))
    return paper.quantize(COLORS, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)


if __name__ == "__main__":
    sys.exit(main())
