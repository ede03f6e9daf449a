"""Synthetic cells: a simulator of the NIH set, with its patients, slides and fields, and with its traps.

It simulates stain, light, focus and background per patient, slide and photograph, the outlines that the NIH masks leave, the blood stages
of the parasite, and look-alikes in both classes. docs/synthetic-cells.md shows everything in pictures. A score on synthetic cells says
nothing about malaria.
"""

import hashlib
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal

import numpy as np

from malaria_exp.components.dataset.drawing.cohort import is_healthy, is_second, plan, wrong_labels
from malaria_exp.components.dataset.drawing.draw import Recipe, draw_cell
from malaria_exp.components.dataset.drawing.look import Look, draw_look
from malaria_exp.config.registry import early_check, register
from malaria_exp.config.validation import Count, Fraction, Probability, Range
from malaria_exp.data.cell_table import CellTable
from malaria_exp.utils.errors import ConfigError

# Raise it with every change that gives the same recipe other pixels: caches find cells by a hash that includes it.
DRAWING_VERSION = 3
# More than a hundred times the NIH set; their names alone take gigabytes.
MOST_CELLS = 5_000_000
# A parasite is where a color differs by more than this from the cell drawn without it, of 255, and by more than this fraction of the largest
# difference: less is its blurred edge.
LEAST_SEEN, EDGE = 12, 0.3
# A picture stays one up to there; beyond, numbers run over.
Strength = Annotated[float, Range(low=0, high=1e6)]


@dataclass(frozen=True, eq=False)
class Drawings:
    """Draws the cells of a table on demand; holds no pixels, so any number of cells fits into memory.

    Each cell has its own random numbers, seeded by (seed, patient, cell), so it does not matter in which order, in which thread or how
    often cells are read.

    Attributes:
        seed: of the dataset.
        number: int64 (N,), the patient's number.
        cell: int64 (N,), the cell's position among the patient's cells, from 0.
        slide: int64 (N,), the slide's position among the patient's slides, from 0.
        field: int64 (N,), the photograph's position among the patient's photographs, from 0.
        parasitized: bool (N,), the truth.
        shift: float64 (N,), strength of the other laboratory's stain, 0 where there is none.
        recipe: the parameters that all cells share.
    """

    seed: int
    number: np.ndarray
    cell: np.ndarray
    slide: np.ndarray
    field: np.ndarray
    parasitized: np.ndarray
    shift: np.ndarray
    recipe: Recipe

    def read(self, index: int) -> np.ndarray:
        """Returns cell `index`: RGB, uint8 (height, width, 3), black outside the cell; safe in several threads."""
        return self._draw(index, parasitized=bool(self.parasitized[index]))

    def parasites(self, index: int) -> np.ndarray:
        """Returns where the parasites of cell `index` are, bool (height, width): where it differs from the same cell drawn without them.

        All False for a cell without parasites, and for one whose parasites cannot be seen.
        """
        without = self._draw(index, parasitized=False).astype(int)
        difference = np.abs(self.read(index) - without).max(axis=2)
        mask: np.ndarray = difference > max(LEAST_SEEN, EDGE * difference.max())
        return mask

    def _draw(self, index: int, *, parasitized: bool) -> np.ndarray:
        number = int(self.number[index])
        return draw_cell(
            np.random.default_rng([self.seed, number, 1 + int(self.cell[index])]),
            _look(self.seed, number, int(self.slide[index]), int(self.field[index]), float(self.shift[index])),
            self.recipe,
            parasitized=parasitized,
        )

    def recipe_hash(self, index: int) -> str:
        """Returns the SHA-256 over everything that decides the pixels of cell `index`, as hex.

        It identifies the content without drawing it: equal recipes give equal pixels, and two cells of a table differ in patient or
        cell, and so in all their random numbers.
        """
        own = " ".join(f"{name}={getattr(self, name)[index]}" for name in ("number", "cell", "slide", "field", "parasitized", "shift"))
        common = " ".join(f"{name}={float(value)!r}" for name, value in asdict(self.recipe).items())
        return hashlib.sha256(f"malaria_exp synthetic {DRAWING_VERSION} seed={self.seed} {own} {common}".encode()).hexdigest()


def check_size(*, infected_patients: int, healthy_patients: int, cells_per_patient: int, **_: Any) -> None:
    """Raises a ConfigError if there would be more cells than a table can hold."""
    cells = (infected_patients + healthy_patients) * cells_per_patient
    if cells > MOST_CELLS:
        raise ConfigError(
            f"dataset.infected_patients, dataset.healthy_patients, dataset.cells_per_patient: about {cells:,} cells; expected at most {MOST_CELLS:,}."
        )


@register("dataset", "synthetic")
@early_check(check_size)
def synthetic(
    *,
    seed: Count = 0,
    infected_patients: Annotated[int, Range(low=1, high=100_000)] = 40,
    healthy_patients: Annotated[int, Range(low=0, high=100_000)] = 14,
    cells_per_patient: Annotated[int, Range(low=4, high=100_000)] = 65,
    parasitized_fraction: Fraction = 0.6,
    late_fraction: Probability = 0.15,
    cell_size: Annotated[int, Range(low=24, high=240)] = 130,
    odd_shape_fraction: Probability = 0.3,
    lookalike_fraction: Probability = 0.3,
    contrast: Strength = 1.0,
    softness: Strength = 1.0,
    noise: Strength = 1.0,
    stain_shift: Strength = 0.0,
    shifted_patients: Literal["healthy", "every_second"] = "healthy",
    label_noise: Probability = 0.0,
) -> CellTable:
    """Simulated stained blood cells: no download; for first steps, experiments with a known truth, and tests.

    Args:
        seed: chooses patients and cells; the same seed gives the same pixels.
        infected_patients: patients with parasitized and uninfected cells; one more patient leaves the others unchanged.
        healthy_patients: patients with uninfected cells only.
        cells_per_patient: on average; a patient has between half and five times as many.
        parasitized_fraction: fraction of an infected patient's cells that is parasitized, on average over patients.
        late_fraction: fraction of the parasitized cells with a trophozoite, schizont or gametocyte instead of a ring, on average over
            patients.
        cell_size: typical height and width of a cell in pixels; cells differ by about 12%, as in the real set.
        odd_shape_fraction: chance that a cell is notched, cut, folded, fringed, or has a piece of a neighbor on it.
        lookalike_fraction: chance that a cell of either class has something that resembles a parasite: stain grains, a platelet, a scratch.
        contrast: how strongly parasites are stained; below 1 the task is harder, at 0 they cannot be seen.
        softness: scales how far photographs are out of focus; 0 is sharp.
        noise: scales the camera's noise; 0 is none.
        stain_shift: strength of another laboratory's stain on some patients' slides; 1 moves colors by about one standard deviation
            between real patients, and changes nothing else.
        shifted_patients: whose slides stain_shift changes: those of all healthy patients, so that color alone tells who is infected, a
            leak that no split by patient removes; or of every second infected and every second healthy patient (P5003, P5004, P5007,
            P5008 ...).
        label_noise: chance that the label of an infected patient's cell is wrong; the pixels follow the truth, which the table keeps.

    Returns:
        A table whose names follow the official grammar, with patients P5001 and up, which the real set does not have.
    """
    cells = list(plan(seed, infected_patients, healthy_patients, cells_per_patient, parasitized_fraction))
    number, cell, slide, field, parasitized, names = zip(*cells, strict=True)
    patients = np.array(number)
    shifted = is_healthy(patients) if shifted_patients == "healthy" else is_second(patients)
    drawings = Drawings(
        seed=seed,
        number=patients,
        cell=np.array(cell),
        slide=np.array(slide),
        field=np.array(field),
        parasitized=np.array(parasitized),
        shift=np.where(shifted, float(stain_shift), 0.0),
        recipe=Recipe(
            cell_size=cell_size,
            odd_shape_fraction=odd_shape_fraction,
            lookalike_fraction=lookalike_fraction,
            late_fraction=late_fraction,
            contrast=contrast,
            softness=softness,
            noise=noise,
        ),
    )
    wrong = wrong_labels(seed, patients, label_noise)
    labeled = drawings.parasitized ^ wrong
    return CellTable.from_names(
        "synthetic",
        {"parasitized": labeled, "uninfected": ~labeled},
        cell_id=np.array(names),
        patient=np.array([f"P{one}" for one in number]),
        slide=np.array([name.partition("_IMG_")[0] for name in names]),
        field=np.array([name.partition("_cell_")[0] for name in names]),
        content=np.array([drawings.recipe_hash(index) for index in range(len(cells))]),
        source=drawings,
        truth=drawings.parasitized.astype(np.int8) if label_noise else None,
        notes=_notes(int(wrong.sum()), len(wrong), float(stain_shift), shifted_patients),
    )


def _notes(wrong: int, cells: int, shift: float, shifted_patients: str) -> tuple[str, ...]:
    """Returns notes for the report about labels and stains that are wrong on purpose."""
    notes = []
    if wrong:
        notes.append(f"{wrong:,} of {cells:,} labels are wrong on purpose (label_noise); every number counts against the given labels.")
    if shift:
        notes.append(f"stain_shift={shift:g} on the slides of {shifted_patients} patients: a model may have learned the stain.")
    return tuple(notes)


@lru_cache(maxsize=16384)
def _look(seed: int, number: int, slide: int, field: int, shift: float) -> Look:
    # Patients and cells are seeded by [seed, number] and [seed, number, 1 + cell]; the 0 makes these seeds different from both.
    patient, slide_, field_ = (np.random.default_rng([seed, number, 0, stream]) for stream in (1, 2 + slide, 10 + field))
    return draw_look(patient, slide_, field_, shift)
