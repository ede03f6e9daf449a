"""Draws one cell: outline, body, look-alikes and parasites, in this order."""

import math
from dataclasses import dataclass

import numpy as np

from malaria_exp.components.dataset.drawing.body import draw_body
from malaria_exp.components.dataset.drawing.branch import branch
from malaria_exp.components.dataset.drawing.forms import infect
from malaria_exp.components.dataset.drawing.look import Look
from malaria_exp.components.dataset.drawing.lookalikes import litter
from malaria_exp.components.dataset.drawing.pen import Pen

BULGE = 1.01  # a picture's width beside that of a circle of the cell's radius; bent outlines are wider
MAX_RADIUS = 150.0  # in pixels; a larger cell would not fit into the noise tile
REFERENCE_SIZE = 130  # the cell size, in pixels, that a look's softness is meant for
SHARPEST = 0.5
FAINT_FRACTION = 0.07
LOOKALIKE_BRANCH, PARASITE_BRANCH = 1, 2  # branch 0 is the outline's


@dataclass(frozen=True)
class Recipe:
    """The parameters that all cells of a synthetic dataset share.

    Attributes:
        cell_size: typical height and width of a cell in pixels.
        odd_shape_fraction: chance of a notch, cut, fold, fringe or piece of a neighbor.
        lookalike_fraction: chance of a look-alike in a cell of either class.
        late_fraction: fraction of the parasitized cells with a trophozoite, schizont or gametocyte.
        contrast: how strongly parasites are stained; 1 is as on the slides, 0 hides them.
        softness: scales the width of all edges; 1 is as on the slides.
        noise: scales the camera's noise; 1 is as on the slides.
    """

    cell_size: int
    odd_shape_fraction: float
    lookalike_fraction: float
    late_fraction: float
    contrast: float
    softness: float
    noise: float


def draw_cell(rng: np.random.Generator, look: Look, recipe: Recipe, *, parasitized: bool) -> np.ndarray:
    """Returns a picture of one cell, cropped to it: RGB, uint8 (height, width, 3), black outside the cell.

    The cell itself and its look-alikes are drawn before anything depends on `parasitized`, so both classes have the same sizes,
    shapes, colors and look-alikes. Outline, body, look-alikes and parasites have separate random numbers, so a parameter changes
    only what it names.

    Args:
        rng: the cell's random numbers.
        look: the look of its photograph.
        recipe: the parameters that all cells share.
        parasitized: whether it has parasites.
    """
    radius = min(recipe.cell_size / (2 * BULGE) * look.size * _size(rng), MAX_RADIUS)
    softness = max(SHARPEST, look.softness * recipe.softness * recipe.cell_size / REFERENCE_SIZE)
    noise = look.noise * recipe.noise
    canvas = draw_body(rng, look, radius, softness=softness, noise=noise, odd_shape_fraction=recipe.odd_shape_fraction)
    if rng.random() < recipe.lookalike_fraction:
        own = branch(rng, LOOKALIKE_BRANCH)
        litter(Pen(canvas, own, look, *canvas.center, radius, dark=0.2 + 0.8 * float(own.random()) ** 2))
    if parasitized:
        # Some parasites are hardly stained; without these a model would make no mistake.
        own = branch(rng, PARASITE_BRANCH)
        faint, stained = own.random(2).tolist()
        dark = 0.05 + 0.35 * stained if faint < FAINT_FRACTION else 0.7 + 0.3 * stained
        infect(Pen(canvas, own, look, *canvas.center, radius, dark=min(1.0, dark * look.strength * recipe.contrast)), recipe.late_fraction)
    return canvas.finish()


def _size(rng: np.random.Generator) -> float:
    """Returns a cell's size relative to the patient's average: about 10% more or less, rarely a fragment or a giant."""
    spread, rare = float(rng.standard_normal()), float(rng.random())
    factor = 0.45 + 25 * rare if rare < 0.012 else 1.0 + 0.6 * (rare - 0.994) / 0.006 if rare > 0.994 else 1.0
    return factor * math.exp(0.1 * spread)
