"""Draws one cell from its random numbers: outline, body, look-alikes, parasites, in this order."""

import math

import numpy as np

from malaria_exp.dataset._canvas import BLOCK, HARMONICS, MAX_RADIUS, TILE, Canvas, Position, enlarge, grain, polar_grid
from malaria_exp.dataset._stain import Stain
from malaria_exp.dataset._things import LOOKALIKES, PARASITES, TURN, Pen, Thing, applique

# Bend of the outline by harmonic 2 (oval), 3, 4 ...: deviation of its amplitude as a part of the radius.
BEND = np.array([0.065, 0.026, 0.018, 0.013, 0.010, 0.008, 0.006, 0.005], np.float32)
NEVER_FARTHER = 0.3
FAINT_SHARE = 0.07


def draw_cell(
    rng: np.random.Generator, stain: Stain, *, parasitized: bool, cell_size: int, lookalike_share: float, contrast: float
) -> np.ndarray:
    """Returns a picture of one cell, cut out tightly: RGB, uint8 (height, width, 3), black outside the cell.

    The cell itself is drawn before anything depends on `parasitized`, so both classes have the same sizes, shapes and colours.

    Args:
        rng: the cell's own random numbers.
        stain: the look of its slide.
        parasitized: paint parasites into it.
        cell_size: typical height and width in pixels.
        lookalike_share: chance of a look-alike, the same for both classes.
        contrast: how strongly parasites stand out; 1 is as in the slides, 0 hides them.
    """
    radius = min(cell_size / 2 * math.exp(0.13 * float(rng.standard_normal())), MAX_RADIUS)
    canvas = _body(rng, stain, radius, stain.softness * cell_size / 120)
    if rng.random() < lookalike_share:
        thing = _choose(rng, LOOKALIKES)
        y, x = _place(rng, canvas, radius, 0.0, 0.97)
        thing(Pen(canvas, rng, stain, y, x, radius, float(rng.uniform(0.5, 1.0))))
    if parasitized:
        # Some parasites are out of focus or hardly stained: without them the task would be solved without a mistake.
        dark = rng.uniform(0.08, 0.4) if rng.random() < FAINT_SHARE else rng.uniform(0.6, 1.0)
        dark = min(1.0, float(dark) * stain.strength * contrast)
        for _ in range(1 + int(rng.random() < 0.16) + int(rng.random() < 0.05)):
            thing = _choose(rng, PARASITES)
            near, far = (0.82, 0.93) if thing is applique else (0.0, 0.8)
            y, x = _place(rng, canvas, radius, near, far)
            thing(Pen(canvas, rng, stain, y, x, radius, dark))
    return canvas.finish()


def _body(rng: np.random.Generator, stain: Stain, radius: float, softness: float) -> Canvas:
    """Returns a canvas with an empty cell on it."""
    blocks = radius / BLOCK
    offset, distance, waves = polar_grid(math.ceil(blocks * (1 + NEVER_FARTHER)))
    amplitude = rng.standard_normal(2 * (HARMONICS - 1), dtype=np.float32) * np.tile(BEND, 2)
    if rng.random() < 0.12:
        amplitude *= 2
    bend = np.einsum("k,kyx->yx", amplitude, waves)
    level = distance / (blocks * (1 + np.clip(bend, -NEVER_FARTHER, NEVER_FARTHER)))
    if rng.random() < 0.16:
        level = _join_or_bite(rng, offset, distance, blocks, level)
    mask = level < 1
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    crop = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    centre = -float(offset[crop[0]][0]) + 0.5, -float(offset[crop[1]][0]) + 0.5
    shade = enlarge(_shade(rng, stain, level[crop], (offset[crop[0], None] / blocks, offset[crop[1]] / blocks), blocks))
    height, width = shade.shape
    tone = rng.standard_normal(3, dtype=np.float32) * np.float32(2.5) + np.float32(3.5 * rng.standard_normal())
    noise = _cut(rng, grain(2), height, width) * np.float32(stain.noise)
    planes = np.empty((3, height, width), np.float32)
    np.multiply(shade, (stain.rim - stain.cell)[:, None, None], out=planes)
    planes += noise
    planes += (stain.cell + tone)[:, None, None]
    return Canvas(planes, mask[crop], (centre[0] * BLOCK, centre[1] * BLOCK), softness)


def _shade(rng: np.random.Generator, stain: Stain, level: np.ndarray, axes: tuple[np.ndarray, np.ndarray], blocks: float) -> np.ndarray:
    """Returns how far each block's colour lies on the way from the body's (0) to the rim's (1); below 0 is darker than the body.

    Args:
        rng: the cell's random numbers.
        stain: the look of its slide.
        level: float32 (rows, columns), distance from the centre, 1 on the outline.
        axes: float32 (rows, 1) and (columns,), distance from the centre downwards and to the right, in radii.
        blocks: the radius in blocks.
    """
    y, x = axes
    pale, wide, down, right, tilt_y, tilt_x, rim, thick = rng.random(8, dtype=np.float32)
    v, u = y - (down - 0.5) * 0.3, x - (right - 0.5) * 0.3
    hollow = np.maximum(0, 1 - (v * v + u * u) / (0.35 + 0.4 * wide) ** 2)
    edge = np.clip((level - 1) * (blocks / (1.0 + 1.2 * thick)) + 1, 0, 1)
    shade = hollow * hollow * (1.3 * stain.pallor * (0.3 + pale))
    shade += edge * (0.4 + 0.6 * rim)
    shade -= level * level * (0.35 * stain.pallor)
    shade += y * (0.3 * (tilt_y - 0.5)) + x * (0.3 * (tilt_x - 0.5))
    shade += _cut(rng, grain(5), *level.shape) * np.float32(stain.mottle)
    return shade.astype(np.float32, copy=False)


def _join_or_bite(rng: np.random.Generator, offset: np.ndarray, distance: np.ndarray, blocks: float, level: np.ndarray) -> np.ndarray:
    """Returns the level with a piece of a neighbour joined, or without what a neighbour covered."""
    turn, size, join = rng.random(3).tolist()
    half = blocks * (0.18 + 0.17 * size)
    sin, cos = math.sin(turn * TURN), math.cos(turn * TURN)
    # The outline's radius in this direction: a piece joined farther out would hang in the air.
    probe = len(offset) // 2 + round(0.6 * blocks * sin), len(offset) // 2 + round(0.6 * blocks * cos)
    away = float(distance[probe] / level[probe]) * (0.93 if join < 0.5 else 1.02)
    v, u = offset[:, None] - away * sin, offset - away * cos
    disc = (v * v + u * u) * (1 / (half * half))
    return np.minimum(level, disc) if join < 0.5 else np.where(disc < 1, np.float32(2), level)


def _place(rng: np.random.Generator, canvas: Canvas, radius: float, near: float, far: float) -> Position:
    """Returns a random position (y, x) in the cell, `near` to `far` radii from its centre, evenly spread over that area."""
    for _ in range(8):
        turn, out = rng.random(2).tolist()
        away = radius * math.sqrt(near**2 + (far**2 - near**2) * out)
        sin, cos = math.sin(turn * TURN), math.cos(turn * TURN)
        y, x = canvas.centre
        # A little farther out there must be cell too, or too much of the thing would be cut off.
        beyond = away + 0.08 * radius
        if canvas.inside((y + beyond * sin, x + beyond * cos)):
            return y + away * sin, x + away * cos
    return canvas.centre


def _choose(rng: np.random.Generator, things: tuple[tuple[Thing, float], ...]) -> Thing:
    left = rng.random()
    for thing, share in things:
        left -= share
        if left < 0:
            return thing
    return things[-1][0]


def _cut(rng: np.random.Generator, tile: np.ndarray, height: int, width: int) -> np.ndarray:
    top, left = int(rng.random() * (TILE - height)), int(rng.random() * (TILE - width))
    return tile[top : top + height, left : left + width]
