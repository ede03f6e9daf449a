"""Patients that count alike, however many cells they have."""

from typing import Literal

import numpy as np

from malaria_exp.components.sampling._balance import balanced
from malaria_exp.config.registry import register
from malaria_exp.data.sampling import Sampling
from malaria_exp.utils.errors import ConfigError


@register("sampling", "patient_balanced")
def patient_balanced(labels: np.ndarray, patients: np.ndarray | None, /, *, by: Literal["draws", "weights"] = "draws") -> Sampling:  # noqa: ARG001
    """Every patient counts alike in the training, however many cells it has.

    Args:
        by: draws: an epoch holds as many cells of each patient, some several times if a patient has few; weights: every cell once,
            and in the loss it weighs 1 / its patient's cells.

    Raises:
        ConfigError: the patients are not known.
    """
    if patients is None:
        raise ConfigError("sampling: 'patient_balanced' needs the patients, which are not known in this data. Use sampling=uniform.")
    if by == "draws":
        return Sampling(balanced(patients))
    return Sampling(weights=patient_weights(patients))


def patient_weights(patients: np.ndarray) -> np.ndarray:
    """Returns weights of cells, float32 (N,), mean 1, of the same sum for every patient; `patients` is (N,)."""
    _, number, cells = np.unique(patients, return_inverse=True, return_counts=True)
    weights: np.ndarray = (len(patients) / (len(cells) * cells[number])).astype(np.float32)
    return weights
