"""What a model predicted for the cells of each patient, and how its sensitivity and specificity vary between patients."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class RateSpread(NamedTuple):
    """A rate of cells (sensitivity or specificity) in patients; all arrays (...,), nan from fewer than two patients.

    Attributes:
        rate: over all cells.
        between: variance between patients of a patient's own rate.
        within: variance of one cell around its patient's rate.
        error: variance of `rate` over samples of patients.
        patients: number of patients with such cells.
    """

    rate: np.ndarray
    between: np.ndarray
    within: np.ndarray
    error: np.ndarray
    patients: np.ndarray


@dataclass(frozen=True, eq=False)
class PatientCounts:
    """Numbers of cells of K patients, in the order of their names; all arrays float64 (K,).

    Attributes:
        names: str (K,).
        parasitized: cells with that label.
        uninfected: cells with that label.
        found: parasitized cells that were predicted parasitized.
        alarms: uninfected cells that were predicted parasitized.
    """

    names: np.ndarray
    parasitized: np.ndarray
    uninfected: np.ndarray
    found: np.ndarray
    alarms: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray, predicted: np.ndarray, patients: np.ndarray) -> "PatientCounts":
        """Counts.

        Args:
            labels: (N,), 1 = parasitized, 0 = uninfected.
            predicted: bool (N,), predicted parasitized.
            patients: str (N,).
        """
        names, number = np.unique(patients, return_inverse=True)
        kinds = (labels == 1, labels == 0, predicted & (labels == 1), predicted & (labels == 0))
        return cls(names, *(np.bincount(number, kind, len(names)) for kind in kinds))

    @property
    def cells(self) -> np.ndarray:
        """All cells of a patient."""
        return self.parasitized + self.uninfected

    @property
    def infected(self) -> np.ndarray:
        """Whether a patient has a parasitized cell, bool (K,)."""
        return self.parasitized > 0

    @property
    def labeled(self) -> np.ndarray:
        """The fraction of a patient's cells that is labeled parasitized."""
        return self.parasitized / self.cells

    @property
    def predicted(self) -> np.ndarray:
        """The fraction of a patient's cells that is predicted parasitized."""
        return (self.found + self.alarms) / self.cells

    def sensitivity(self, *, of_others: bool) -> RateSpread:
        """Returns the spread of sensitivity: of all patients, or for each patient (K,) of all others."""
        return _rate_spread(self.found, self.parasitized, of_others=of_others)

    def specificity(self, *, of_others: bool) -> RateSpread:
        """Returns the spread of specificity: of all patients, or for each patient (K,) of all others."""
        return _rate_spread(self.uninfected - self.alarms, self.uninfected, of_others=of_others)


def _rate_spread(hits: np.ndarray, cells: np.ndarray, *, of_others: bool) -> RateSpread:
    """Returns a rate's spread by analysis of variance with unequal sizes (Searle, Casella and McCulloch 1992, Variance Components, 3.6).

    Where all cells are hits or none is, one cell more of each kind stands for what was not seen (Agresti and Coull 1998,
    https://doi.org/10.1080/00031305.1998.10480550), as nothing else tells how much cells vary.
    """
    own = np.stack([cells, cells**2, hits, hits**2 / np.maximum(cells, 1), cells > 0])
    sums = own.sum(axis=1, keepdims=of_others)
    total, squares, all_hits, by_patient, patients = sums - own if of_others else sums
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = all_hits / total
        within = (all_hits - by_patient) / (total - patients)
        one_more = (all_hits + 1) / (total + 2)
        within = np.where(within > 0, within, one_more * (1 - one_more))
        size = (total - squares / total) / (patients - 1)
        between = np.maximum(((by_patient - all_hits * rate) / (patients - 1) - within) / size, 0)
        error = between * squares / total**2 + within / total
    enough = patients >= 2
    rate, between, within, error = (np.where(enough, value, np.nan) for value in (rate, between, within, error))
    return RateSpread(rate, between, within, error, patients)
