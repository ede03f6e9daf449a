"""The cells that two configurations scored: folds joined, seeds side by side, matched by the name of the cell."""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np

from malaria_exp.evaluation.paired_spread import Scored
from malaria_exp.evaluation.paired_tests import PairedCells
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.reports.comparison.compared_run import ComparedRun
from malaria_exp.evaluation.reports.comparison.configurations import Configuration
from malaria_exp.utils.errors import DataError

Read = Callable[[ComparedRun], Predictions]


class Replicate(NamedTuple):
    """What one seed of a configuration says of cells, sorted by their names; every field (N,)."""

    cell_id: np.ndarray
    label: np.ndarray
    patient: np.ndarray
    score: np.ndarray
    predicted: np.ndarray

    def take(self, rows: np.ndarray) -> "Replicate":
        """Returns the rows."""
        return Replicate(*(column[rows] for column in self))


def replicates(configuration: Configuration, subset: str, read: Read) -> list[Replicate]:
    """Returns what each seed says; the folds of a seed are joined if no cell is in two of them.

    Args:
        configuration: whose finished runs are read.
        subset: of their predictions.
        read: reads the predictions of a run.

    Raises:
        DataError: a run has no predictions of that subset.
        RunFolderError: its file is missing or damaged.
    """
    found = []
    for seed in configuration.by_seed:
        folds = [_replicate(run, read(run).select(subset)) for run in seed.runs]
        joined = Replicate(*map(np.concatenate, zip(*folds, strict=True)))
        once = len(np.unique(joined.cell_id)) == len(joined.cell_id)
        found += [one.take(np.argsort(one.cell_id)) for one in ([joined] if once else folds)]
    return found


def _replicate(run: ComparedRun, cells: Predictions) -> Replicate:
    return Replicate(cells.cell_id, cells.label, cells.patient, cells.score, cells.score >= run.threshold)


def pair(model: Sequence[Replicate], reference: Sequence[Replicate]) -> list[PairedCells]:
    """Returns the cells that both scored.

    Seeds that were tested on the same cells form one set; there are several where the test cells change with the seed, as those of repeated splits do.
    If no two have the same cells, the set is those cells that all have.

    Raises:
        DataError: they share no cell, or a cell has another label or patient.
    """
    sets: dict[tuple[str, ...], tuple[list[Replicate], list[Replicate]]] = {}
    for side, own in enumerate((model, reference)):
        for one in own:
            sets.setdefault(tuple(one.cell_id.tolist()), ([], []))[side].append(one)
    both = [sides for sides in sets.values() if all(sides)]
    if not both:
        common = reduce(np.intersect1d, (one.cell_id for one in (*model, *reference)))
        if not len(common):
            raise DataError("they were tested on different cells")
        first, second = ([one.take(np.isin(one.cell_id, common)) for one in own] for own in (model, reference))
        both = [(first, second)]
    return [_paired(*sides) for sides in both]


def _paired(model: Sequence[Replicate], reference: Sequence[Replicate]) -> PairedCells:
    first = model[0]
    for name in ("label", "patient"):
        other = max(int(np.sum(getattr(first, name) != getattr(one, name))) for one in (*model, *reference))
        if other:
            raise DataError(f"{other:,} cells of the same name have another {name}")
    sides = (Scored(*(np.array([getattr(one, name) for one in own]) for name in ("score", "predicted"))) for own in (model, reference))
    return PairedCells(first.label, first.patient, *sides)
