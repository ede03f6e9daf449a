"""The patients of a synthetic dataset: how many cells each has, which are parasitized, and their official file names."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

FIRST_NUMBER = 5001  # real patients end at 224
TWO_SLIDES_FRACTION = 0.15
CELLS_PER_FIELD = 18  # about as many as in the real set
SLIDE_ENDS = (("ThinF",), ("thinOriginalOlympusCX21", "thin_Original_Motic"))
LABEL_STREAM = 9
FIRST_DAY, DAYS = datetime(2015, 6, 1, 9), 200


class Cell(NamedTuple):
    """One cell of the plan: `number` is the patient's; `cell`, `slide` and `field` count the patient's cells, slides and photographs from 0."""

    number: int
    cell: int
    slide: int
    field: int
    parasitized: bool
    cell_id: str


def plan(seed: int, infected: int, healthy: int, cells_per_patient: int, parasitized_fraction: float) -> Iterator[Cell]:
    """Yields all cells, patient by patient. A patient stays the same when the number of patients changes.

    Infected patients have odd numbers from 5001, healthy ones even numbers from 5002, so neither group changes when the other grows.

    Args:
        seed: chooses the patients.
        infected: how many infected patients.
        healthy: how many healthy patients.
        cells_per_patient: on average, 2 or more.
        parasitized_fraction: fraction of an infected patient's cells that is parasitized, on average.
    """
    for index in range(infected):
        number = FIRST_NUMBER + 2 * index
        spread, load = _spread(seed, index)
        count = _cell_count(cells_per_patient, spread)
        # The mean of load ** (1 / fraction - 1) is `fraction`: some patients have hardly any parasite, some have many.
        parasitized = int(np.clip(round(count * load ** (1 / parasitized_fraction - 1)), 1, count - 1))
        yield from _cells_of(seed, number, count, parasitized)
    for index in range(healthy):
        number = FIRST_NUMBER + 1 + 2 * index
        yield from _cells_of(seed, number, _cell_count(cells_per_patient, _spread(seed, index)[1]), 0)


def is_healthy(number: np.ndarray) -> np.ndarray:
    """Returns which of these patients, given by number, are healthy; bool (N,)."""
    return (number - FIRST_NUMBER) % 2 == 1


def is_second(number: np.ndarray) -> np.ndarray:
    """Returns which of these patients, given by number, are every second one of the infected or of the healthy; bool (N,)."""
    return (number - FIRST_NUMBER) // 2 % 2 == 1


def wrong_labels(seed: int, number: np.ndarray, rate: float) -> np.ndarray:
    """Returns which cells get a wrong label; bool (N,).

    Cells of healthy patients never do, as whoever labels them knows that the patient is healthy. The wrong labels of a lower rate are
    among those of a higher one.

    Args:
        seed: of the dataset.
        number: int64 (N,), each cell's patient; a patient's cells are in the plan's order.
        rate: chance of a wrong label, in [0, 1].
    """
    wrong = np.zeros(len(number), bool)
    for one in np.unique(number[~is_healthy(number)]).tolist():
        rows = np.flatnonzero(number == one)
        wrong[rows] = np.random.default_rng([seed, one, 0, LABEL_STREAM]).random(len(rows)) < rate
    return wrong


def _spread(seed: int, index: int) -> tuple[float, float]:
    """Returns two numbers in [0, 1), spread so evenly from patient to patient that a few patients already have the wished means."""
    start = np.random.default_rng([seed, 0]).random(2)
    first, second = (start + (index + 1) * np.array([0.7548776662466927, 0.5698402909980532])) % 1
    return float(first), float(second)


def _cell_count(mean: int, spread: float) -> int:
    """Returns a patient's number of cells: half the mean up to five times the mean, as in the real set."""
    tail = (1 - spread + 0.015) ** -0.5 - 1.015**-0.5
    return max(2, round(mean * (0.5 + 0.643 * tail)))  # over all spreads the tail's mean is 0.5 / 0.643


def _cells_of(seed: int, number: int, count: int, parasitized: int) -> Iterator[Cell]:
    rng = np.random.default_rng([seed, number])
    two_slides, split = rng.random(2)
    ends = SLIDE_ENDS[int(two_slides < TWO_SLIDES_FRACTION)]
    first_slide_cells = count if len(ends) == 1 else max(1, min(count - 1, round(count * (0.35 + 0.3 * split))))
    moment = FIRST_DAY + timedelta(days=int(rng.integers(DAYS)), seconds=int(rng.integers(6 * 3600)))
    sick = np.zeros(count, bool)
    sick[rng.permutation(count)[:parasitized]] = True
    cell = photograph = 0
    for slide, (end, cells) in enumerate(zip(ends, (first_slide_cells, count - first_slide_cells), strict=False)):
        for start in range(0, cells, CELLS_PER_FIELD):
            moment += timedelta(seconds=int(rng.integers(20, 180)))
            in_field = min(CELLS_PER_FIELD, cells - start)
            numbers = np.sort(rng.choice(np.arange(1, 221), in_field, replace=False))
            field = f"C{number}P{number}{end}_IMG_{moment:%Y%m%d_%H%M%S}"
            for in_image in numbers:
                yield Cell(number, cell, slide, photograph, bool(sick[cell]), f"{field}_cell_{in_image}")
                cell += 1
            photograph += 1
