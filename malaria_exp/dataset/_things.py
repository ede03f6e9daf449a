"""What can lie in or on a cell: parasites, and the look-alikes that are none."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from malaria_exp.dataset._canvas import Canvas
from malaria_exp.dataset._stain import Stain

TURN = 2 * math.pi
PIGMENT = np.array((70, 44, 40), np.float32)
DUST = np.array((62, 54, 60), np.float32)
BLUER = np.array((-24, 0, 16), np.float32)


@dataclass(frozen=True)
class Pen:
    """Paints one thing at one position of a canvas; all lengths are parts of the cell's radius.

    Attributes:
        canvas: the picture.
        rng: the cell's random numbers.
        stain: the look of the slide.
        y: the thing's position in pixels, downwards.
        x: the same to the right.
        radius: the cell's radius in pixels.
        dark: how strongly the thing is stained, in [0, 1].
    """

    canvas: Canvas
    rng: np.random.Generator
    stain: Stain
    y: float
    x: float
    radius: float
    dark: float

    @property
    def cytoplasm(self) -> np.ndarray:
        """RGB of a parasite's body, between that of the cell and of chromatin."""
        return self.stain.cell * np.float32(0.42) + self.stain.chromatin * np.float32(0.58)

    def numbers(self, count: int) -> list[float]:
        """Returns random numbers in [0, 1)."""
        return self.rng.random(count).tolist()

    def rows(self, count: int, each: int) -> list[list[float]]:
        """Returns `count` lists of `each` random numbers in [0, 1)."""
        return self.rng.random((count, each)).tolist()

    def spot(
        self, half: float, colour: np.ndarray, alpha: float, *, away: float = 0, towards: float = 0, squeeze: float = 1, angle: float = 0
    ) -> None:
        """Paints an ellipse of the longer half axis `half`, its middle `away` from the position in the direction `towards`."""
        y, x = self.y + self.radius * away * math.sin(towards), self.x + self.radius * away * math.cos(towards)
        self.canvas.spot((y, x), self.radius * half, colour, alpha, squeeze=squeeze, angle=angle)

    def circle(self, size: float, width: float, colour: np.ndarray, alpha: float, *, squeeze: float = 1, angle: float, lean: float) -> None:
        """Paints a ring, never thinner than the picture is sharp."""
        wall = self.radius * width + self.canvas.softness / 2
        self.canvas.ring((self.y, self.x), self.radius * size, wall, colour, alpha, squeeze=squeeze, angle=angle, lean=lean)

    def chromatin(self, half: float, *, away: float, towards: float, squeeze: float, angle: float) -> None:
        """Paints a dot of chromatin: two ellipses, since the real ones are seldom round."""
        colour = self.stain.chromatin
        self.spot(half, colour, 0.9 * self.dark, away=away, towards=towards, squeeze=squeeze, angle=angle)
        shifted = math.hypot(away, 0.4 * half), towards + math.atan2(0.4 * half, away + 1e-6)
        self.spot(0.75 * half, colour, 0.85 * self.dark, away=shifted[0], towards=shifted[1], squeeze=0.7, angle=2 * angle)


Thing = Callable[[Pen], None]


def ring(pen: Pen) -> None:
    """Paints a ring form: a thin ring of cytoplasm around a pale vacuole, with one or two dots of chromatin on it."""
    size, thick, lean, turn, nuclei, apart, half, squeeze = pen.numbers(8)
    size, turn = 0.12 + 0.13 * size, turn * TURN
    pen.spot(size, pen.stain.rim, 0.45 * pen.dark, squeeze=0.9, angle=turn)
    around = {"squeeze": 0.75 + 0.25 * squeeze, "angle": turn + 4 * apart, "lean": 0.4 + 0.6 * lean}
    pen.circle(size, 0.035 + 0.045 * thick, pen.cytoplasm, 0.85 * pen.dark, **around)
    for dot in range(2 if nuclei < 0.22 else 1):
        at = turn + dot * (0.7 + 2.4 * apart)
        pen.chromatin(0.065 + 0.05 * half, away=size, towards=at, squeeze=0.55 + 0.35 * squeeze, angle=at + apart)


def applique(pen: Pen) -> None:
    """Paints a form that lies flat along the cell's margin: a stretched body with one or two dots."""
    length, width, half, nuclei, along = pen.numbers(5)
    angle = math.atan2(pen.y - pen.canvas.centre[0], pen.x - pen.canvas.centre[1]) + math.pi / 2
    length = 0.13 + 0.12 * length
    pen.spot(length, pen.cytoplasm, 0.75 * pen.dark, squeeze=0.3 + 0.2 * width, angle=angle)
    for dot in range(2 if nuclei < 0.3 else 1):
        away = length * (0.7 * along + 0.1)
        pen.chromatin(0.06 + 0.05 * half, away=away, towards=angle + dot * math.pi, squeeze=0.55, angle=angle)


def trophozoite(pen: Pen) -> None:
    """Paints a later form: a lobed body with chromatin at one side and grains of brown pigment."""
    for size, far, turn, squeeze in pen.rows(4, 4):
        shape = {"squeeze": 0.6 + 0.4 * squeeze, "angle": turn * TURN}
        pen.spot(0.13 + 0.1 * size, pen.cytoplasm, 0.6 * pen.dark, away=0.13 * far, towards=turn * TURN, **shape)
    turn, half = pen.numbers(2)
    pen.spot(0.07, pen.stain.rim, 0.4 * pen.dark, squeeze=0.8, angle=turn)
    pen.chromatin(0.08 + 0.05 * half, away=0.12, towards=turn * TURN, squeeze=0.6, angle=turn)
    for far, turn in pen.rows(4, 2):
        pen.spot(0.028, PIGMENT, 0.75 * pen.dark, away=0.14 * far, towards=turn * TURN, squeeze=0.8, angle=turn)


def precipitate(pen: Pen) -> None:
    """Paints a group of small purple grains of stain, strewn along a line."""
    line, count = pen.numbers(2)
    for along, aside, half, squeeze in pen.rows(2 + int(4 * count), 4):
        towards = line * TURN + 0.5 * (aside - 0.5)
        shape = {"squeeze": 0.35 + 0.6 * squeeze, "angle": towards + aside}
        pen.spot(0.025 + 0.05 * half, pen.cytoplasm, (0.4 + 0.6 * half) * pen.dark, away=0.6 * (along - 0.5), towards=towards, **shape)


def platelet(pen: Pen) -> None:
    """Paints a platelet over the cell: a grainy violet disc in a pale halo."""
    size, squeeze, turn = pen.numbers(3)
    half = 0.13 + 0.1 * size
    shape = {"squeeze": 0.7 + 0.3 * squeeze, "angle": turn * TURN}
    pen.spot(1.35 * half, pen.stain.rim, 0.6, **shape)
    pen.spot(half, pen.cytoplasm, 0.6 * pen.dark, **shape)
    for far, turn, grain in pen.rows(5, 3):
        pen.spot(0.03 + 0.02 * grain, pen.stain.chromatin, 0.4 * pen.dark, away=0.7 * half * far, towards=turn * TURN, squeeze=0.9)


def howell_jolly(pen: Pen) -> None:
    """Paints a left-over of the cell's own nucleus: one small round dot, without ring or vacuole."""
    half, blue = pen.numbers(2)
    pen.spot(0.045 + 0.035 * half, pen.stain.chromatin + BLUER * np.float32(0.4 + 0.6 * blue), 0.85 * pen.dark)


def dust(pen: Pen) -> None:
    """Paints dark grey specks, one or a few."""
    for far, turn, half, squeeze in pen.rows(1 + int(3 * pen.rng.random()), 4):
        pen.spot(
            0.02 + 0.035 * half, DUST, 0.8 * pen.dark, away=0.12 * far, towards=turn * TURN, squeeze=0.4 + 0.6 * squeeze, angle=turn * 5
        )


def bubble(pen: Pen) -> None:
    """Paints a refractile bubble: a pale disc with a dark line around it and no purple."""
    size, turn = pen.numbers(2)
    size = 0.07 + 0.13 * size
    pen.spot(size, pen.stain.rim + 14, 0.75)
    pen.circle(size, 0.03, pen.stain.cell * np.float32(0.68), 0.8 * pen.dark, angle=turn * TURN, lean=0.6)


# Each with its share among parasites, or among look-alikes.
PARASITES: tuple[tuple[Thing, float], ...] = ((ring, 0.68), (applique, 0.19), (trophozoite, 0.13))
LOOKALIKES: tuple[tuple[Thing, float], ...] = (
    (precipitate, 0.3),
    (platelet, 0.12),
    (howell_jolly, 0.1),
    (dust, 0.23),
    (bubble, 0.25),
)
