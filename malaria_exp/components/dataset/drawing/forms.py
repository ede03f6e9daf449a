"""Parasites: the blood stages of Plasmodium falciparum, as a Giemsa stain shows them."""

import math
from dataclasses import replace

import numpy as np

from malaria_exp.components.dataset.drawing.branch import branch
from malaria_exp.components.dataset.drawing.outline import TURN
from malaria_exp.components.dataset.drawing.pen import Pen, Thing, choose, place

PIGMENT = np.array((70, 44, 40), np.float32)


def ring(pen: Pen) -> None:
    """Paints a ring: a thin line of cytoplasm, open at one side, around a pale vacuole, with one or two dots of chromatin on it."""
    size, thick, lean, turn, nuclei, apart, half, squeeze, bar = pen.numbers(9)
    size, turn = 0.13 + 0.17 * size, turn * TURN
    pen.spot(size, pen.look.background, (0.1 + 0.35 * thick) * pen.dark, squeeze=0.9, angle=turn)
    around = {"squeeze": 0.7 + 0.3 * squeeze, "angle": turn + 4 * apart, "lean": 0.5 + 0.5 * lean}
    pen.circle(size, 0.025 + 0.05 * thick, pen.look.cytoplasm, (0.45 + 0.4 * lean) * pen.dark, **around)
    for dot in range(2 if nuclei < 0.22 else 1):
        at = turn + dot * (0.7 + 2.4 * apart)
        shape = {"squeeze": 0.3, "angle": at + math.pi / 2} if bar < 0.15 else {"squeeze": 0.55 + 0.35 * squeeze, "angle": at + apart}
        pen.chromatin((0.065 + 0.055 * half) * (1.3 if bar < 0.15 else 1), away=size, towards=at, **shape)


def dot_alone(pen: Pen) -> None:
    """Paints a ring out of focus, of which only the chromatin is left, in a little cytoplasm."""
    half, squeeze, turn, halo = pen.numbers(4)
    half = 0.065 + 0.065 * half
    pen.spot(half * (1.5 + halo), pen.look.cytoplasm, 0.35 * pen.dark, away=0.6 * half, towards=turn * TURN, squeeze=0.7, angle=turn * 5)
    pen.chromatin(half, away=0, towards=0, squeeze=0.4 + 0.5 * squeeze, angle=turn * TURN)


def applique(pen: Pen) -> None:
    """Paints an appliqué form, flat along the cell's margin: a stretched body with one or two dots, often in a pale gap."""
    length, width, half, nuclei, along, gap = pen.numbers(6)
    angle = pen.outwards + math.pi / 2
    length = 0.13 + 0.14 * length
    if gap < 0.4:
        pen.spot(1.25 * length, pen.look.background, 0.8 * pen.dark, away=0.05, towards=pen.outwards, squeeze=0.55, angle=angle)
    pen.spot(length, pen.look.cytoplasm, 0.75 * pen.dark, squeeze=0.3 + 0.2 * width, angle=angle)
    for dot in range(2 if nuclei < 0.3 else 1):
        away = length * (0.7 * along + 0.1)
        pen.chromatin(0.065 + 0.055 * half, away=away, towards=angle + dot * math.pi, squeeze=0.55, angle=angle)


def trophozoite(pen: Pen) -> None:
    """Paints a trophozoite: a lobed body with chromatin at one side and grains of brown pigment."""
    grown = pen.rng.random()
    scale = 0.8 + 0.7 * grown
    for size, far, turn, squeeze in pen.rows(4, 4):
        shape = {"squeeze": 0.6 + 0.4 * squeeze, "angle": turn * TURN}
        pen.spot(scale * (0.13 + 0.1 * size), pen.look.cytoplasm, 0.55 * pen.dark, away=scale * 0.13 * far, towards=turn * TURN, **shape)
    turn, half = pen.numbers(2)
    pen.spot(0.07 * scale, pen.look.background, 0.4 * pen.dark, squeeze=0.8, angle=turn)
    pen.chromatin(scale * (0.08 + 0.05 * half), away=0.12 * scale, towards=turn * TURN, squeeze=0.6, angle=turn)
    pigment(pen, 4, 0.14 * scale)


def schizont(pen: Pen) -> None:
    """Paints a schizont: a large body full of merozoites around a clump of pigment."""
    size, count, squeeze, turn = pen.numbers(4)
    half = 0.34 + 0.22 * size
    pen.spot(half, pen.look.cytoplasm, 0.5 * pen.dark, squeeze=0.8 + 0.2 * squeeze, angle=turn * TURN)
    merozoites = 8 + int(9 * count)
    for place_, (out, aside) in enumerate(pen.rows(merozoites, 2)):
        towards = TURN * (place_ + 0.6 * aside) / merozoites
        away = half * (0.85 if place_ % 3 else 0.5) * (0.75 + 0.25 * out)
        pen.spot(0.065 + 0.025 * aside, pen.look.chromatin, 0.85 * pen.dark, away=away, towards=towards, squeeze=0.75, angle=aside * TURN)
    pigment(pen, 4, 0.06)


def gametocyte(pen: Pen) -> None:
    """Paints a gametocyte: a crescent through most of the cell, chromatin and pigment about its middle."""
    length, bend, turn, slim = pen.numbers(4)
    turn *= TURN
    length, bend, width = 0.5 + 0.22 * length, 0.6 + 0.6 * bend, 0.21 - 0.05 * slim
    pen.crescent(bend, length, width, pen.look.cytoplasm, 0.75 * pen.dark, angle=turn)
    pen.spot(0.17, pen.look.chromatin, 0.6 * pen.dark, squeeze=0.7, angle=turn + math.pi / 2)
    pigment(pen, 7, 0.14)


def pigment(pen: Pen, count: int, spread: float) -> None:
    """Paints grains of brown pigment within `spread` of the position."""
    for far, turn in pen.rows(count, 2):
        pen.spot(0.028, PIGMENT, 0.75 * pen.dark, away=spread * far, towards=turn * TURN, squeeze=0.8, angle=turn)


def clefts(pen: Pen) -> None:
    """Paints Maurer's clefts all over the cell: small coarse violet marks."""
    count, coarse, strong = pen.numbers(3)
    for far, turn, half, squeeze in pen.rows(5 + int(10 * count), 4):
        shape = {"away": 0.85 * math.sqrt(far), "towards": turn * TURN, "squeeze": 0.4 + 0.5 * squeeze, "angle": 9 * squeeze}
        pen.spot(0.028 + 0.03 * coarse * half, pen.look.cytoplasm, (0.25 + 0.5 * strong) * pen.dark, **shape)


# Forms with their fractions among early or late ones.
EARLY: tuple[tuple[Thing, float], ...] = ((ring, 0.66), (applique, 0.22), (dot_alone, 0.12))
LATE: tuple[tuple[Thing, float], ...] = ((trophozoite, 0.74), (schizont, 0.16), (gametocyte, 0.10))
# How far from the cell's center a form is: from and to, in radii.
ZONES: dict[Thing, tuple[float, float]] = {applique: (0.82, 0.95), schizont: (0.0, 0.35), gametocyte: (0.0, 0.15)}
ANYWHERE = (0.0, 0.82)


def infect(pen: Pen, late_fraction: float) -> None:
    """Paints the parasites of one cell: usually one, two in one cell of six, rarely three; and Maurer's clefts in some patients' cells.

    Args:
        pen: at the cell's center; each parasite gets a position of its own.
        late_fraction: chance that a cell's parasite is a trophozoite, schizont or gametocyte, on average over patients.
    """
    rng = pen.rng
    late, marked, second, third = rng.random(4).tolist()
    # The chance grows evenly with the patient's lateness, around a mean of late_fraction.
    far = pen.look.lateness
    chance = 2 * late_fraction * far if late_fraction <= 0.5 else 1 - 2 * (1 - late_fraction) * (1 - far)
    if marked < pen.look.clefts:
        clefts(pen)
    for number in range(1 + int(second < 0.16) + int(third < 0.05)):
        own = branch(rng, number)
        thing = choose(own, LATE if late < chance and number == 0 else EARLY)
        y, x = place(own, pen.canvas, pen.radius, *ZONES.get(thing, ANYWHERE))
        thing(replace(pen, rng=own, y=y, x=x))
