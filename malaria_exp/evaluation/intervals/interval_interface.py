"""What the options of the group `interval` build: a method that gives every metric its interval over patients."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from malaria_exp.data.cell_table import UNKNOWN
from malaria_exp.utils.errors import ConfigError

PATIENTS_UNKNOWN = "the patients are not known"
# Every patient weighs the same in them, whatever its number of cells.
MEANS_OF_PATIENTS = {"mean_patient_sensitivity": "sensitivity", "mean_patient_specificity": "specificity"}


class IntervalMethod(Protocol):
    """Computes every metric with its interval over patients.

    Attributes:
        words: the method's name for reports.
    """

    words: str

    def __call__(
        self,
        labels: np.ndarray,
        scores: np.ndarray,
        patients: np.ndarray,
        thresholds: Mapping[str, float],
        *,
        resamples: int,
        confidence: float,
        seed: int,
    ) -> dict[str, Any]:
        """Computes every metric with its interval.

        Args:
            labels: (N,), 1 = parasitized, 0 = uninfected.
            scores: (N,), probability of parasitized, in [0, 1].
            patients: (N,), the patient of each cell. The order of the rows has no effect.
            thresholds: by name.
            resamples: of patients, where they are resampled.
            confidence: in (0, 1).
            seed: of everything that is resampled.

        Returns:
            {"at": {threshold name: {metric: cell}}, "ranking": {metric: cell}, "patients": K, "reason": None or why there is no
            interval at all}, where cell is {"value", "low", "high", "patients"}; "patients" is the effective number of patients behind
            the value (Kish). None stands for undefined. "at" also holds the keys of MEANS_OF_PATIENTS.

        Raises:
            ConfigError: resamples or confidence is out of range.
        """


def check_confidence(confidence: float) -> None:
    """Raises a ConfigError unless the confidence is between 0 and 1."""
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence: expected a number between 0 and 1. Received: {confidence}")


def no_interval(patients: np.ndarray) -> str | None:
    """Returns why no interval over these patients (their distinct names) is possible, or None."""
    if UNKNOWN in patients:
        return PATIENTS_UNKNOWN
    return "one patient only" if len(patients) == 1 else None


def make_cell(value: float, limits: tuple[float, float] | None, patients: float | None) -> dict[str, float | None]:
    """Returns a metric as it stands in metrics.json; a value of nan becomes None."""
    low, high = limits or (None, None)
    return {"value": None if np.isnan(value) else float(value), "low": low, "high": high, "patients": patients}


def complement(cell: Mapping[str, Any]) -> dict[str, float | None]:
    """Returns the cell of 1 minus a rate, such as the error of an accuracy, of the rate's cell."""
    limits = None if cell["low"] is None else (1 - cell["high"], 1 - cell["low"])
    return make_cell(np.nan if cell["value"] is None else 1 - cell["value"], limits, cell["patients"])
