"""Look-alikes: things in or on cells that resemble parasites and are none."""

import math
from dataclasses import replace

import numpy as np

from malaria_exp.components.dataset.drawing.outline import TURN
from malaria_exp.components.dataset.drawing.pen import Pen, Thing, choose, place

DUST = np.array((62, 54, 60), np.float32)
RUST = np.array((140, 24, 70), np.float32)
BLUER = np.array((-24, 0, 16), np.float32)
REDDER = np.array((30, 0, -14), np.float32)


def precipitate(pen: Pen) -> None:
    """Paints a group of small purple grains of stain along a line."""
    line, count = pen.numbers(2)
    for along, aside, half, squeeze in pen.rows(2 + int(5 * count), 4):
        towards = line * TURN + 0.5 * (aside - 0.5)
        shape = {"squeeze": 0.35 + 0.6 * squeeze, "angle": towards + aside}
        pen.spot(0.02 + 0.045 * half, pen.look.cytoplasm, (0.4 + 0.6 * half) * pen.dark, away=0.6 * (along - 0.5), towards=towards, **shape)


def specks(pen: Pen) -> None:
    """Paints faint violet specks all over the cell: uneven stain, the most frequent mark on uninfected cells."""
    for far, turn, half, squeeze in pen.rows(1 + int(5 * pen.rng.random()), 4):
        shape = {"away": 0.45 * far, "towards": turn * TURN, "squeeze": 0.35 + 0.6 * squeeze, "angle": 9 * squeeze}
        pen.spot(0.025 + 0.05 * half, pen.look.cytoplasm, (0.15 + 0.3 * squeeze) * pen.dark, **shape)


def platelet(pen: Pen) -> None:
    """Paints a platelet over the cell: a grainy violet disc in a pale halo."""
    size, squeeze, turn, pink = pen.numbers(4)
    half = 0.12 + 0.13 * size
    color = pen.look.cytoplasm + REDDER * np.float32(pink)
    shape = {"squeeze": 0.65 + 0.35 * squeeze, "angle": turn * TURN}
    pen.spot(1.3 * half, pen.look.background, 0.15 + 0.45 * squeeze, **shape)
    pen.spot(half, color, 0.6 * pen.dark, **shape)
    for far, turn, grain in pen.rows(6, 3):
        pen.spot(0.03 + 0.025 * grain, pen.look.chromatin, 0.4 * pen.dark, away=0.75 * half * far, towards=turn * TURN, squeeze=0.9)


def stain_lump(pen: Pen) -> None:
    """Paints a lump of precipitated stain, as it dries onto cells' margins: large, magenta, ragged, in a pale gap."""
    half, turn, gap = pen.numbers(3)
    half = 0.1 + 0.16 * half * half
    if gap < 0.5:
        pen.spot(1.5 * half, pen.look.background, 0.5, squeeze=0.7, angle=turn * TURN)
    for far, turn, size, squeeze in pen.rows(4, 4):
        shape = {"away": half * far, "towards": turn * TURN, "squeeze": 0.3 + 0.6 * squeeze, "angle": 9 * squeeze}
        pen.spot(half * (0.4 + 0.5 * size), pen.look.chromatin + REDDER * np.float32(size), (0.5 + 0.45 * squeeze) * pen.dark, **shape)


def howell_jolly(pen: Pen) -> None:
    """Paints a Howell-Jolly body, a rest of the cell's own nucleus: one small round dot, without ring or vacuole."""
    half, blue = pen.numbers(2)
    pen.spot(0.04 + 0.035 * half, pen.look.chromatin + BLUER * np.float32(0.4 + 0.6 * blue), 0.85 * pen.dark)


def cabot_ring(pen: Pen) -> None:
    """Paints a Cabot-like ring: a large thin reddish loop or figure of eight, without chromatin or vacuole."""
    size, squeeze, turn, eight = pen.numbers(4)
    size = 0.3 + 0.3 * size
    color = pen.look.cytoplasm + REDDER
    if eight < 0.35:
        step = pen.radius * 0.55 * size
        for side in (-1, 1):
            half = replace(pen, y=pen.y + side * step * math.sin(turn * TURN), x=pen.x + side * step * math.cos(turn * TURN))
            half.circle(0.55 * size, 0.02, color, 0.5 * pen.dark, angle=turn * TURN, lean=0.1)
    else:
        pen.circle(size, 0.02, color, 0.5 * pen.dark, squeeze=0.7 + 0.3 * squeeze, angle=turn * TURN, lean=0.3)


def debris(pen: Pen) -> None:
    """Paints a smear of dirt: overlapping lumps, brownish or pink, pale or dark."""
    tone, red, size = pen.numbers(3)
    color = pen.look.background + REDDER * np.float32(red) - np.float32(100 * tone)
    for far, turn, half, squeeze in pen.rows(3, 4):
        shape = {"squeeze": 0.3 + 0.6 * squeeze, "angle": turn * TURN}
        pen.spot((0.06 + 0.13 * half) * (0.6 + size), color, 0.55 * pen.dark, away=0.12 * far, towards=turn * TURN * 3, **shape)


def scratch(pen: Pen) -> None:
    """Paints scratches in the smear: straight thin lines, side by side, pale or dark."""
    turn, length, pale = pen.numbers(3)
    color = pen.look.background + 8 if pale < 0.65 else pen.look.cell * np.float32(0.7)
    for aside, half, wide in pen.rows(1 + int(2 * pen.rng.random()), 3):
        shape = {"away": 0.3 * (aside - 0.5), "towards": turn * TURN + math.pi / 2, "angle": turn * TURN + 0.1 * aside}
        pen.spot(0.4 + 0.9 * length * half, color, 0.9 * pen.dark, squeeze=0.012 + 0.025 * wide, **shape)


def dust(pen: Pen) -> None:
    """Paints specks of dust, one or a few: dark gray, or rusty, which under the microscope looks almost as chromatin does."""
    rust = pen.rng.random()
    color = DUST if rust < 0.5 else RUST
    for far, turn, half, squeeze in pen.rows(1 + int(3 * pen.rng.random()), 4):
        shape = {"squeeze": 0.4 + 0.6 * squeeze, "angle": turn * 5}
        pen.spot(0.02 + 0.035 * half, color, 0.8 * pen.dark, away=0.12 * far, towards=turn * TURN, **shape)


def bubble(pen: Pen) -> None:
    """Paints a refractile bubble: a pale disc with a dark line around it and no purple."""
    size, turn = pen.numbers(2)
    size = 0.07 + 0.13 * size
    pen.spot(size, pen.look.background + 10, 0.75)
    pen.circle(size, 0.03, pen.look.cell * np.float32(0.68), 0.8 * pen.dark, angle=turn * TURN, lean=0.6)


# Look-alikes with their fractions.
LOOKALIKES: tuple[tuple[Thing, float], ...] = (
    (specks, 0.26),
    (precipitate, 0.15),
    (stain_lump, 0.08),
    (platelet, 0.10),
    (howell_jolly, 0.08),
    (cabot_ring, 0.05),
    (debris, 0.08),
    (scratch, 0.06),
    (dust, 0.09),
    (bubble, 0.05),
)
# How far from the cell's center a look-alike is: from and to, in radii.
ZONES: dict[Thing, tuple[float, float]] = {cabot_ring: (0.0, 0.3), scratch: (0.0, 0.6), stain_lump: (0.6, 0.98), platelet: (0.3, 0.98)}
ANYWHERE = (0.0, 0.97)


def litter(pen: Pen) -> None:
    """Paints one look-alike at a random position, whatever the pen's position is."""
    thing = choose(pen.rng, LOOKALIKES)
    y, x = place(pen.rng, pen.canvas, pen.radius, *ZONES.get(thing, ANYWHERE))
    thing(replace(pen, y=y, x=x))
