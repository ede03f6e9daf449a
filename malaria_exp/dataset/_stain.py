"""How one slide looks: the colours of cell, rim and parasite, and the sharpness and noise of its photographs."""

from dataclasses import dataclass

import numpy as np

# Cell, its pale rim, chromatin: medians read off slides of the NIH set; the last column is how often a slide looks like this.
PALETTE = (
    ((207, 146, 146), (222, 176, 158), (162, 22, 106), 0.30),
    ((194, 132, 141), (215, 164, 158), (146, 20, 100), 0.20),
    ((192, 162, 152), (212, 181, 162), (150, 42, 110), 0.14),
    ((179, 170, 183), (196, 195, 190), (134, 42, 158), 0.16),
    ((153, 145, 182), (188, 188, 194), (112, 34, 152), 0.13),
    ((168, 106, 146), (204, 154, 160), (116, 16, 98), 0.07),
)
COLOURS = np.array([row[:3] for row in PALETTE], np.float32)
SHARES = np.cumsum([row[3] for row in PALETTE])


@dataclass(frozen=True)
class Stain:
    """The look that all cells of one slide share.

    Attributes:
        cell: RGB of the cell's body, float32 (3,), in [0, 255].
        rim: RGB of its pale rim and of places where it is thin.
        chromatin: RGB of the parasite's nucleus.
        strength: how well parasites took the stain, 0.8 to 1.
        pallor: how pale the cells' centres are, 0 to 0.8.
        softness: width of edges in pixels at a cell size of 120 px, 1.6 (sharp) to 3.9 (out of focus).
        noise: deviation of the camera's noise, in grey levels.
        mottle: unevenness of the cell's body, as a part of the way from body to rim.
    """

    cell: np.ndarray
    rim: np.ndarray
    chromatin: np.ndarray
    strength: float
    pallor: float
    softness: float
    noise: float
    mottle: float


def draw_stain(person: np.random.Generator, slide: np.random.Generator) -> Stain:
    """Returns the look of a slide: mostly the person's (stained on one day), partly the slide's (its microscope).

    Args:
        person: the person's random numbers; the same state must be handed over for each of their slides.
        slide: the slide's random numbers.
    """
    main, other = np.searchsorted(SHARES[:-1], person.random(2), side="right")
    mix = person.uniform(0, 0.35) + slide.uniform(0, 0.15)
    colours = COLOURS[main] * (1 - mix) + COLOURS[other] * mix
    tint = person.normal(0, 2.5, 3) + slide.normal(0, 2.5, 3)
    brightness = person.uniform(0.93, 1.06) * slide.uniform(0.97, 1.03)
    contrast = slide.uniform(0.85, 1.15)
    middle = colours[0].mean()
    cell, rim, chromatin = (((colours - middle) * contrast + middle + tint) * brightness).astype(np.float32)
    return Stain(
        cell=cell,
        rim=rim,
        chromatin=chromatin,
        strength=person.uniform(0.8, 1.0),
        pallor=person.uniform(0, 0.8) * person.uniform(0.2, 1),
        softness=slide.uniform(1.6, 2.8) + (slide.random() < 0.15) * 1.1,
        noise=slide.uniform(0.6, 1.8),
        mottle=slide.uniform(0.03, 0.1),
    )
