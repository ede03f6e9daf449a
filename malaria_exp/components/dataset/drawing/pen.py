"""The pen that paints parasites and look-alikes."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from malaria_exp.components.dataset.drawing.canvas import Canvas, Position
from malaria_exp.components.dataset.drawing.look import Look
from malaria_exp.components.dataset.drawing.outline import TURN


@dataclass(frozen=True)
class Pen:
    """Paints one thing at one position of a canvas; all lengths are in radii of the cell.

    Attributes:
        canvas: the picture.
        rng: the cell's random numbers.
        look: the look of the photograph.
        y: the thing's position in pixels, downwards.
        x: the same to the right.
        radius: the cell's radius in pixels.
        dark: how strongly the thing is stained, in [0, 1].
    """

    canvas: Canvas
    rng: np.random.Generator
    look: Look
    y: float
    x: float
    radius: float
    dark: float

    def numbers(self, count: int) -> list[float]:
        """Returns random numbers in [0, 1)."""
        return self.rng.random(count).tolist()

    def rows(self, count: int, each: int) -> list[list[float]]:
        """Returns `count` lists of `each` random numbers in [0, 1)."""
        return self.rng.random((count, each)).tolist()

    def spot(
        self, half: float, color: np.ndarray, alpha: float, *, away: float = 0, towards: float = 0, squeeze: float = 1, angle: float = 0
    ) -> None:
        """Paints an ellipse of the longer half axis `half`, its middle `away` from the position in the direction `towards`."""
        y, x = self.y + self.radius * away * math.sin(towards), self.x + self.radius * away * math.cos(towards)
        self.canvas.spot((y, x), self.radius * half, color, alpha, squeeze=squeeze, angle=angle)

    def circle(self, size: float, width: float, color: np.ndarray, alpha: float, *, squeeze: float = 1, angle: float, lean: float) -> None:
        """Paints a ring whose line is at least as wide as the picture's edges."""
        wall = self.radius * width + self.canvas.softness / 2
        self.canvas.ring((self.y, self.x), self.radius * size, wall, color, alpha, squeeze=squeeze, angle=angle, lean=lean)

    def crescent(self, bend: float, length: float, width: float, color: np.ndarray, alpha: float, *, angle: float) -> None:
        """Paints a crescent with the position in its middle, hollow towards `angle`; `length` and `width` are half of what they measure."""
        bend, length, width = (self.radius * part for part in (bend, length, width))
        self.canvas.crescent((self.y, self.x), bend, length, width, color, alpha, angle=angle)

    def chromatin(self, half: float, *, away: float, towards: float, squeeze: float, angle: float) -> None:
        """Paints a dot of chromatin: two ellipses, because real dots are seldom round."""
        color = self.look.chromatin
        self.spot(half, color, 0.97 * self.dark, away=away, towards=towards, squeeze=squeeze, angle=angle)
        shifted = math.hypot(away, 0.4 * half), towards + math.atan2(0.4 * half, away + 1e-6)
        self.spot(0.75 * half, color, 0.85 * self.dark, away=shifted[0], towards=shifted[1], squeeze=0.7, angle=2 * angle)

    @property
    def outwards(self) -> float:
        """Direction from the cell's center to the position, in radians."""
        return math.atan2(self.y - self.canvas.center[0], self.x - self.canvas.center[1])


Thing = Callable[[Pen], None]


def place(rng: np.random.Generator, canvas: Canvas, radius: float, near: float, far: float) -> Position:
    """Returns a random position (y, x) in the cell, `near` to `far` radii from its center, evenly spread over that area."""
    for _ in range(8):
        turn, out = rng.random(2).tolist()
        away = radius * math.sqrt(near**2 + (far**2 - near**2) * out)
        sin, cos = math.sin(turn * TURN), math.cos(turn * TURN)
        y, x = canvas.center
        # The cell must reach a little farther out, or too much of the thing would be cut off.
        beyond = away + 0.08 * radius
        if canvas.inside((y + beyond * sin, x + beyond * cos)):
            return y + away * sin, x + away * cos
    return canvas.center


def choose(rng: np.random.Generator, things: tuple[tuple[Thing, float], ...]) -> Thing:
    """Returns one of the things at random; each is given with its probability, and these add up to 1."""
    left = rng.random()
    for thing, fraction in things:
        left -= fraction
        if left < 0:
            return thing
    return things[-1][0]
