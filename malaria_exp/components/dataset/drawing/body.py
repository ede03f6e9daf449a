"""The body of a red blood cell, empty."""

import numpy as np

from malaria_exp.components.dataset.drawing.canvas import Canvas, camera_grain, cut_window, enlarge, grain
from malaria_exp.components.dataset.drawing.look import Look
from malaria_exp.components.dataset.drawing.outline import BLOCK, ODDITIES, Oddity, Outline, draw_outline


def draw_body(
    rng: np.random.Generator,
    look: Look,
    radius: float,
    *,
    softness: float,
    noise: float,
    odd_shape_fraction: float,
    oddities: tuple[Oddity, ...] = ODDITIES,
) -> Canvas:
    """Returns a canvas with an empty cell on it, cropped to the cell.

    Args:
        rng: the cell's random numbers.
        look: the look of its photograph.
        radius: typical radius in pixels.
        softness: width of edges in pixels.
        noise: standard deviation of the camera's noise, in gray levels.
        odd_shape_fraction: chance of a notch, cut, fold, fringe or piece of a neighbor.
        oddities: those to choose from.
    """
    outline, mask = draw_outline(rng, radius, look.roughness, odd_shape_fraction, oddities)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    crop = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    shade = enlarge(_shade(rng, look, outline, crop))
    height, width = shade.shape
    stained, red, green, blue, all_three = rng.standard_normal(5).tolist()
    span = look.background - look.cell
    color = look.cell + span * np.float32(0.15 * stained) + np.array((red, green, blue), np.float32) * 2 + np.float32(3 * all_three)
    planes = cut_window(rng, camera_grain(), height, width) * np.float32(noise)
    for channel in range(3):
        planes[channel] += shade * span[channel]
        planes[channel] += color[channel]
    center = (0.5 - float(outline.offset[rows[0]])) * BLOCK, (0.5 - float(outline.offset[columns[0]])) * BLOCK
    return Canvas(planes, mask[crop], center, softness)


def _shade(rng: np.random.Generator, look: Look, outline: Outline, crop: tuple[slice, slice]) -> np.ndarray:
    """Returns the color of each block between the body's (0) and the background's (1); below 0 is darker than the body."""
    blocks = outline.blocks
    level = outline.level[crop]
    y, x = outline.offset[crop[0], None] * np.float32(1 / blocks), outline.offset[crop[1]] * np.float32(1 / blocks)
    pale, wide, down, right, tilt_y, tilt_x, rim, thick, squeeze = rng.random(9).tolist()
    v, u = (y - np.float32((down - 0.5) * 0.3)) * np.float32(0.85 + 0.3 * squeeze), x - np.float32((right - 0.5) * 0.3)
    out = np.sqrt(v * v + u * u)
    hollow = np.clip((np.float32(0.42 + 0.3 * wide) - out) * np.float32(1 / (0.1 + 0.6 * look.pallor_edge)) + 0.5, 0, 1)
    shade = hollow * hollow * np.float32(look.pallor * (0.15 + 1.1 * pale))
    edge = np.clip((level - 1) * np.float32(blocks / (1.5 + 2.0 * thick * look.rim)) + 1, 0, 1)
    shade += edge * np.float32((0.7 + 0.6 * rim) * (0.4 + 0.6 * look.rim))
    shade -= np.minimum(level * level, 1) * np.float32(0.2 * look.pallor)
    shade += y * np.float32(0.3 * (tilt_y - 0.5)) + x * np.float32(0.3 * (tilt_x - 0.5))
    shade += cut_window(rng, grain(5), *level.shape) * np.float32(look.mottle)
    if outline.pale is not None:
        shade += outline.pale[crop]
    return np.minimum(shade, np.float32(1.15)).astype(np.float32, copy=False)
