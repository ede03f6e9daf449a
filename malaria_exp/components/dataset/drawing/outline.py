"""Outlines of cut-out cells: oval, ragged, notched, cut, folded, fringed, or with a piece of a neighbor left on them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from malaria_exp.components.dataset.drawing.branch import branch

BLOCK = 3  # pixels; the masks of the real cells are a grid of 3 px blocks, which is also faster to draw on
TURN = 2 * math.pi
ANGLES = 256
HARMONICS = 36
# Standard deviation of the outline's harmonics, in radii: 2 (oval), 3, 4 ... 9 bend it; the others, up to HARMONICS, make it ragged,
# and their deviation falls with the square of the harmonic.
BEND = np.array([0.057, 0.026, 0.018, 0.013, 0.010, 0.008, 0.006, 0.005], np.float32)
RAGGED = 0.05
MAX_REACH = 83  # blocks; a larger picture would not fit into the noise tile
PLAIN_REACH, ODD_REACH = 1.32, 1.6
ODDITY_BRANCH = 0


def _waves() -> np.ndarray:
    steps = np.arange(2, HARMONICS + 1)[:, None] * (np.arange(ANGLES) * (TURN / ANGLES))
    return np.concatenate([np.cos(steps), np.sin(steps)]).astype(np.float32)


WAVES = _waves()
TEETH = RAGGED * (np.arange(2 + len(BEND), HARMONICS + 1, dtype=np.float32) / 3) ** -2


@lru_cache(maxsize=256)
def polar_grid(reach: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns a square grid of blocks around a center, side 2 * reach + 1.

    Returns:
        offset: float32 (side,), the blocks' distance from the center along an axis, in blocks.
        distance: float32 (side, side), in blocks.
        angle: int64 (side, side), direction from the center, in ANGLES-ths of a turn.
    """
    offset = np.arange(-reach, reach + 1, dtype=np.float32)
    distance = np.sqrt(offset[:, None] ** 2 + offset**2)
    angle = np.rint(np.arctan2(offset[:, None], offset) * (ANGLES / TURN)).astype(np.int64) % ANGLES
    for array in (offset, distance, angle):
        array.setflags(write=False)
    return offset, distance, angle


@dataclass
class Outline:
    """A cell's shape on a grid of blocks around its center, and the shades that come with it.

    Attributes:
        blocks: the radius in blocks.
        offset: float32 (side,), the blocks' distance from the center along an axis, in blocks.
        level: float32 (side, side), below 1 inside the cell, 1 on its outline; falls by about 1 / blocks a block inwards.
        pale: float32 (side, side) or None, how far folds, seams and pieces of neighbors move the color towards the background.
    """

    blocks: float
    offset: np.ndarray
    level: np.ndarray
    pale: np.ndarray | None = None

    def tint(self, pale: np.ndarray) -> None:
        """Adds to `pale`."""
        self.pale = pale if self.pale is None else self.pale + pale

    def disc(self, turn: float, away: float, half: float) -> np.ndarray:
        """Returns a disc as a level: its middle `away` radii from the center in direction `turn`, its radius `half` radii."""
        v, u = (self.offset - self.blocks * away * part for part in (math.sin(turn), math.cos(turn)))
        return 1 + np.sqrt(v[:, None] ** 2 + u**2) * np.float32(1 / self.blocks) - np.float32(half)

    def across(self, turn: float) -> np.ndarray:
        """Returns how far each block lies in direction `turn`, in radii."""
        scale = 1 / self.blocks
        return self.offset[:, None] * np.float32(math.sin(turn) * scale) + self.offset * np.float32(math.cos(turn) * scale)

    def edge(self, turn: float) -> float:
        """Returns the outline's distance from the center in direction `turn`, in radii."""
        middle, out = len(self.offset) // 2, 0.6 * self.blocks
        rows, columns = middle + round(out * math.sin(turn)), middle + round(out * math.cos(turn))
        level = float(self.level[rows, columns])
        return 0.6 / level if level < 1 else 0.6


Oddity = Callable[[np.random.Generator, Outline], None]


def draw_outline(
    rng: np.random.Generator, radius: float, roughness: float, odd_shape_fraction: float, oddities: tuple[Oddity, ...]
) -> tuple[Outline, np.ndarray]:
    """Returns a cell's outline and its mask.

    Args:
        rng: the cell's random numbers.
        radius: typical radius in pixels.
        roughness: how ragged the outline is, 0 (smooth) or more.
        odd_shape_fraction: chance of a notch, cut, fold, fringe or piece of a neighbor.
        oddities: those to choose from.

    Returns:
        outline: the shape.
        mask: bool (side, side), the blocks that belong to the cell: one piece.
    """
    blocks = radius / BLOCK
    odd = rng.random() < odd_shape_fraction
    offset, distance, angle = polar_grid(min(MAX_REACH, math.ceil(blocks * (ODD_REACH if odd else PLAIN_REACH))))
    level = distance / (blocks * _profile(rng, roughness))[angle]
    outline = Outline(blocks, offset, level)
    if odd:
        own = branch(rng, ODDITY_BRANCH)
        for _ in range(1 + int(own.random() < 0.4)):
            oddities[int(own.random() * len(oddities))](own, outline)
    return outline, _one_piece(outline.level < 1, distance)


def _profile(rng: np.random.Generator, roughness: float) -> np.ndarray:
    """Returns the outline's distance from the center by angle, float32 (ANGLES,), in radii."""
    amplitude = rng.standard_normal((2, HARMONICS - 1), dtype=np.float32)
    strong, rough = rng.random(2).tolist()
    amplitude[:, : len(BEND)] *= BEND * (2.0 if strong < 0.12 else 1.0)
    amplitude[:, len(BEND) :] *= TEETH * (roughness * (2.5 if rough < 0.15 else 0.4 + 0.9 * rough))
    return 1 + np.clip(amplitude.reshape(-1) @ WAVES, -0.3, 0.3)


def _one_piece(mask: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Returns the blocks of `mask` that are connected to the middle by common edges."""
    if _leads_inwards(mask):
        return mask
    # Grow outwards from the largest disc inside the mask.
    grown, count = distance < distance[~mask].min(), 0
    while True:
        spread = grown.copy()
        spread[1:] |= grown[:-1]
        spread[:-1] |= grown[1:]
        spread[:, 1:] |= grown[:, :-1]
        spread[:, :-1] |= grown[:, 1:]
        spread &= mask
        found = int(np.count_nonzero(spread))
        if found == count:
            return spread
        grown, count = spread, found


def _leads_inwards(mask: np.ndarray) -> bool:
    """Tells whether every block but the middle one has a neighbor in the mask nearer to the middle, so that all are connected."""
    middle = len(mask) // 2
    inwards = np.zeros_like(mask)
    inwards[:middle] = mask[1 : middle + 1]
    inwards[middle + 1 :] = mask[middle:-1]
    inwards[:, :middle] |= mask[:, 1 : middle + 1]
    inwards[:, middle + 1 :] |= mask[:, middle:-1]
    inwards[middle, middle] = True
    return not (mask > inwards).any()


def notched(rng: np.random.Generator, outline: Outline) -> None:
    """Takes away what a neighbor covers."""
    turn, size, depth = rng.random(3).tolist()
    half = 0.2 + 0.5 * size * size
    away = outline.edge(turn * TURN) + half - 0.1 - 0.3 * depth * half
    outline.level = np.maximum(outline.level, 2 - outline.disc(turn * TURN, max(away, half + 0.3), half))


def cut(rng: np.random.Generator, outline: Outline) -> None:
    """Cuts straight pieces off, as where neighbors press on the cell."""
    for _ in range(1 + int(2 * rng.random())):
        turn, out = rng.random(2).tolist()
        outline.level = np.maximum(outline.level, outline.across(turn * TURN) + np.float32(0.4 - 0.3 * out))


def folded(rng: np.random.Generator, outline: Outline) -> None:
    """Folds one side over: a straight margin, and along it a darker band where the cell is twice as thick."""
    turn, out, width, dark = rng.random(4).tolist()
    chord = 0.55 + 0.3 * out
    across = outline.across(turn * TURN)
    outline.level = np.maximum(outline.level, across + np.float32(1 - chord))
    band = np.clip((across - np.float32(chord - 0.1 - 0.25 * width)) * np.float32(6) + 0.5, 0, 1)
    outline.tint(band * np.float32(-0.1 - 0.4 * dark))


def joined(rng: np.random.Generator, outline: Outline) -> None:
    """Leaves a piece of a touching neighbor on the cell, with a pale seam between the two."""
    turn, size, sunk, seam, tone = rng.random(5).tolist()
    half = 0.14 + 0.26 * size * size
    piece = outline.disc(turn * TURN, outline.edge(turn * TURN) + half * (0.2 + 0.6 * sunk), half)
    beyond = np.clip((outline.level - 1) * np.float32(outline.blocks / 2) + 0.5, 0, 1)
    at_seam = np.maximum(1 - np.abs(outline.level - 1) * np.float32(outline.blocks / 1.6), 0)
    outline.tint(beyond * np.float32(0.9 * tone - 0.15) + at_seam * np.float32(0.9 * seam))
    outline.level = np.minimum(outline.level, piece)


def fringed(rng: np.random.Generator, outline: Outline) -> None:
    """Leaves strips of background and of neighbors on the cell, as masks do at a dirty margin."""
    pale = float(rng.random()) ** 2
    for turn, length, bend, width in rng.random((1 + int(4 * rng.random()), 4)).tolist():
        start = turn * TURN
        reach = outline.edge(start) - 0.08
        half = (1.0 + 1.4 * width * width) / outline.blocks
        far = 0.12 + 0.35 * length
        level = outline.level
        y, x = reach * math.sin(start), reach * math.cos(start)
        for heading in (start, start + 2.5 * (bend - 0.5)):
            level = np.minimum(level, _capsule(outline, (y, x), heading, far / 2, half))
            y, x = y + far / 2 * math.sin(heading), x + far / 2 * math.cos(heading)
        beyond = np.clip((outline.level - 1) * np.float32(outline.blocks / 2), 0, 1)
        outline.tint(beyond * (level < 1) * np.float32(pale))
        outline.level = level


def _capsule(outline: Outline, at: tuple[float, float], heading: float, length: float, half: float) -> np.ndarray:
    """Returns a strip as a level: from `at` (y, x) `length` radii in direction `heading`, `half` radii to either side."""
    blocks, sin, cos = outline.blocks, math.sin(heading), math.cos(heading)
    v, u = outline.offset[:, None] * np.float32(1 / blocks) - np.float32(at[0]), outline.offset * np.float32(1 / blocks) - np.float32(at[1])
    along = np.clip(v * np.float32(sin) + u * np.float32(cos), 0, length)
    v, u = v - along * np.float32(sin), u - along * np.float32(cos)
    return 1 + np.sqrt(v * v + u * u) - np.float32(half)


# One that is listed twice is twice as likely.
ODDITIES: tuple[Oddity, ...] = (notched, notched, cut, folded, joined, fringed, fringed)
