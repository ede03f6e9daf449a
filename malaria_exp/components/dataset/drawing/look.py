"""How the cells of one photograph look: the stain of the patient's blood, the light and focus of the photograph, the camera."""

from dataclasses import dataclass

import numpy as np

# Colors of the cell, the smear's background and the chromatin, and the fraction of slides that look like this: means over groups of
# similar slides of the NIH set's patients with odd numbers.
PALETTE = (
    ((207, 151, 150), (226, 184, 169), (160, 35, 124), 0.29),
    ((194, 140, 148), (222, 181, 168), (148, 29, 121), 0.16),
    ((194, 164, 154), (219, 188, 174), (140, 38, 130), 0.07),
    ((198, 152, 149), (240, 200, 178), (154, 26, 130), 0.05),
    ((214, 124, 160), (234, 180, 182), (164, 16, 128), 0.05),
    ((176, 106, 146), (226, 182, 170), (147, 24, 120), 0.06),
    ((179, 170, 182), (204, 203, 197), (148, 70, 172), 0.13),
    ((162, 158, 179), (199, 197, 190), (130, 48, 169), 0.10),
    ((148, 140, 176), (200, 199, 188), (120, 38, 162), 0.09),
)
COLORS = np.array([row[:3] for row in PALETTE], np.float32)
CUMULATED = np.cumsum([row[3] for row in PALETTE])
# What another laboratory's stain adds to every color at strength 1: in red and blue about one standard deviation between real patients.
SHIFT = np.array((-20, -8, 15), np.float32)


@dataclass(frozen=True)
class Look:
    """The look that all cells of one photograph share.

    Attributes:
        cell: RGB of the cell's body, float32 (3,), in [0, 255].
        background: RGB of the smear between the cells; it shows at their margins, through their thin centers and in ragged masks.
        chromatin: RGB of the parasite's nucleus.
        cytoplasm: RGB of the parasite's body.
        strength: how well parasites took the stain, 0.8 to 1.
        pallor: how pale the cells' centers are, 0.1 to 1.2.
        pallor_edge: how soft the pale center's border is, 0.2 (a punched hole) to 1.
        rim: how far the cells' margin fades into the background, 0.3 to 1.
        roughness: how ragged the outlines are, 0.5 to 1.8.
        size: of the patient's cells; 1 is average.
        lateness: how far the patient's parasites have developed, 0 to 1.
        clefts: chance that a parasitized cell has Maurer's clefts, 0 to 0.6.
        softness: width of edges in pixels at a cell size of 130 px, 1.8 (sharp) to about 8 (out of focus).
        noise: standard deviation of the camera's noise, in gray levels.
        mottle: unevenness of the cell's body, as a fraction of the difference between body and background.
    """

    cell: np.ndarray
    background: np.ndarray
    chromatin: np.ndarray
    cytoplasm: np.ndarray
    strength: float
    pallor: float
    pallor_edge: float
    rim: float
    roughness: float
    size: float
    lateness: float
    clefts: float
    softness: float
    noise: float
    mottle: float


def draw_look(patient: np.random.Generator, slide: np.random.Generator, field: np.random.Generator, shift: float = 0.0) -> Look:
    """Returns the look of a photograph: mostly the patient's (stained on one day), partly the slide's (its microscope), partly its own.

    Args:
        patient: random numbers of the patient, in the same state for each of the patient's photographs.
        slide: random numbers of the slide, likewise.
        field: random numbers of the photograph.
        shift: strength of another laboratory's stain, added to every color at the end.
    """
    main, other = np.searchsorted(CUMULATED[:-1], patient.random(2), side="right")
    mix = patient.uniform(0, 0.3) + slide.uniform(0, 0.1)
    colors = COLORS[main] * (1 - mix) + COLORS[other] * mix
    tint = patient.normal(0, 3, 3) + slide.normal(0, 2.5, 3) + _light(field)
    brightness = patient.uniform(0.93, 1.06) * slide.uniform(0.97, 1.03)
    contrast = slide.uniform(0.85, 1.15)
    middle = colors[0].mean()
    cell, background, chromatin = (((colors - middle) * contrast + middle + tint) * brightness + shift * SHIFT).astype(np.float32)
    violet = np.array((-6, 0, 12), np.float32) * np.float32(patient.uniform(0, 1))
    pale = patient.random()
    return Look(
        cell=cell,
        background=background,
        chromatin=chromatin,
        cytoplasm=cell * np.float32(0.45) + chromatin * np.float32(0.55) + violet,
        strength=patient.uniform(0.8, 1.0),
        pallor=0.1 + 0.3 * pale if pale < 0.7 else 0.4 + 2.7 * (pale - 0.7),
        pallor_edge=patient.uniform(0.2, 1.0),
        rim=patient.uniform(0.3, 1.0),
        roughness=patient.uniform(0.5, 1.8),
        size=float(np.exp(0.06 * patient.standard_normal())),
        lateness=patient.uniform(0, 1),
        clefts=0.6 * max(0.0, patient.uniform(-1.5, 1)),
        softness=slide.uniform(2.1, 3.7) * field.uniform(0.85, 1.2) * (1.8 if field.random() < 0.08 else 1),
        noise=slide.uniform(1.0, 2.2),
        mottle=slide.uniform(0.015, 0.06),
    )


def _light(field: np.random.Generator) -> np.ndarray:
    """Returns what light and white balance add to a photograph's colors: usually little, much in one of eight."""
    much = 3.0 if field.random() < 0.125 else 1.0
    return field.normal(0, 1.8 * much, 3) + field.normal(0, 1.8 * much)
