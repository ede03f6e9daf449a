"""Drawn cells: a data set made of numbers alone, with people, slides, fields and the traps of the real one.

The cells look like the NIH set's: cut out on black, stained differently on every slide, parasitized ones with rings, flat forms
at the margin or later forms, any of them with look-alikes (debris, platelets, bubbles, dust). They are for trying things out and
for tests: a score on them says nothing about malaria.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np

from malaria_exp.dataset._cohort import plan
from malaria_exp.dataset._draw import draw_cell
from malaria_exp.dataset._stain import Stain, draw_stain
from malaria_exp.registry import register
from malaria_exp.schema import Count, Fraction, NonNegative, PositiveInt, Probability, Range
from malaria_exp.table import CellTable

# Raise it whenever the same recipe would give other pixels: caches find cells by a hash over it.
DRAWING_VERSION = 1


@dataclass(frozen=True, eq=False)
class Drawings:
    """Draws the cells of a table on demand; holds no pixels, so any number of them fits into memory.

    Each cell has random numbers of its own, seeded by (seed, person, cell): it does not matter in which order, in which
    thread or how often cells are read.

    Attributes:
        seed: the data set's seed.
        number: int64 (N,), the person's number.
        cell: int64 (N,), the cell's position among the person's cells, from 0.
        slide: int64 (N,), the slide's position among the person's slides, from 0.
        parasitized: bool (N,).
        cell_size: typical height and width in pixels.
        lookalike_share: chance of a look-alike in a cell.
        contrast: how strongly parasites stand out.
    """

    seed: int
    number: np.ndarray
    cell: np.ndarray
    slide: np.ndarray
    parasitized: np.ndarray
    cell_size: int
    lookalike_share: float
    contrast: float

    def read(self, index: int) -> np.ndarray:
        """Returns cell `index`: RGB, uint8 (height, width, 3), black outside the cell; safe in several threads."""
        number, cell, slide = int(self.number[index]), int(self.cell[index]), int(self.slide[index])
        return draw_cell(
            np.random.default_rng([self.seed, number, 1 + cell]),
            _stain(self.seed, number, slide),
            parasitized=bool(self.parasitized[index]),
            cell_size=self.cell_size,
            lookalike_share=self.lookalike_share,
            contrast=self.contrast,
        )

    def recipe_hash(self, index: int) -> str:
        """Returns the SHA-256 over everything that decides the pixels of cell `index`, as hex.

        It stands for the content without drawing it: equal recipes give equal pixels; and two cells of a table differ in
        person or cell, so in all their random numbers, and would be the same picture only by a chance that never comes.
        """
        recipe = (
            f"malaria_exp synthetic {DRAWING_VERSION} seed={self.seed} person={self.number[index]} cell={self.cell[index]}"
            f" slide={self.slide[index]} parasitized={int(self.parasitized[index])} cell_size={self.cell_size}"
            f" lookalike_share={float(self.lookalike_share)!r} contrast={float(self.contrast)!r}"
        )
        return hashlib.sha256(recipe.encode()).hexdigest()


@register("dataset", "synthetic")
def synthetic(
    *,
    seed: Count = 0,
    infected_patients: PositiveInt = 40,
    healthy_patients: Count = 14,
    cells_per_patient: Annotated[int, Range(low=4)] = 65,
    parasitized_share: Fraction = 0.6,
    cell_size: Annotated[int, Range(low=24, high=240)] = 120,
    lookalike_share: Probability = 0.3,
    contrast: NonNegative = 1.0,
) -> CellTable:
    """Draws cells that look like stained blood cells: no download, for first steps and tests.

    Args:
        seed: which people and cells are drawn; the same seed gives the same pixels.
        infected_patients: people with parasitized and uninfected cells; one more person leaves the others as they are.
        healthy_patients: people with uninfected cells only.
        cells_per_patient: cells of a person on average; single people have half of that up to five times as many.
        parasitized_share: part of an infected person's cells that is parasitized, on average over people.
        cell_size: typical height and width of a cell in pixels; single cells differ by about 13%.
        lookalike_share: chance that a cell of either class carries something that is no parasite: debris, a platelet, a bubble.
        contrast: how strongly parasites are stained; below 1 the task is harder, at 0 they cannot be seen.

    Returns:
        A table whose names follow the official grammar, with patients P5001 and up, whom the real set does not have.
    """
    cells = list(plan(seed, infected_patients, healthy_patients, cells_per_patient, parasitized_share))
    number, cell, slide, parasitized, names = zip(*cells, strict=True)
    drawings = Drawings(
        seed=seed,
        number=np.array(number),
        cell=np.array(cell),
        slide=np.array(slide),
        parasitized=np.array(parasitized),
        cell_size=cell_size,
        lookalike_share=lookalike_share,
        contrast=contrast,
    )
    return CellTable.from_names(
        "synthetic",
        {"parasitized": drawings.parasitized, "uninfected": ~drawings.parasitized},
        cell_id=np.array(names),
        patient=np.array([f"P{one}" for one in number]),
        slide=np.array([name.partition("_IMG_")[0] for name in names]),
        field=np.array([name.partition("_cell_")[0] for name in names]),
        content=np.array([drawings.recipe_hash(index) for index in range(len(cells))]),
        source=drawings,
    )


@lru_cache(maxsize=4096)
def _stain(seed: int, number: int, slide: int) -> Stain:
    # Person and cells take [seed, number] and [seed, number, 1 + cell]; the 0 keeps these two streams apart from both.
    return draw_stain(np.random.default_rng([seed, number, 0, 1]), np.random.default_rng([seed, number, 0, 2 + slide]))
