"""Training, validation and test patients, each person in one subset only."""

import numpy as np

from malaria_exp.errors import ConfigError
from malaria_exp.manifest import Manifest
from malaria_exp.registry import register
from malaria_exp.schema import Count, Fraction
from malaria_exp.split._balance import balance_details, divide_patients
from malaria_exp.table import CellTable


@register("split", "patient_holdout")
def patient_holdout(
    table: CellTable, /, *, train: Fraction = 0.7, val: Fraction = 0.1, test: Fraction = 0.2, tolerance: Fraction = 0.02, seed: Count = 0
) -> Manifest:
    """Divides patients into train, val and test, balanced in cells, classes and healthy people.

    Args:
        train: share of the patients and cells for training.
        val: share for validation: early stopping, thresholds, model selection.
        test: share for the sealed test subset.
        tolerance: how far a subset's share of parasitized, uninfected or healthy people's cells may be from its target.
        seed: chooses the division; kept apart from the run's seed so that runs with other seeds share their test patients.

    Raises:
        ConfigError: the shares do not sum to 1.
        DataError: too few patients.
    """
    shares = {"train": train, "val": val, "test": test}
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise ConfigError(
            f"split.train + split.val + split.test: expected a sum of 1, received {train:g} + {val:g} + {test:g} = {sum(shares.values()):g}."
        )
    subset_of, deviation = divide_patients(table, shares, [seed, 1], tolerance)
    subset = np.array([subset_of[patient] for patient in table.patient.tolist()])
    return Manifest.from_table("patient_holdout", table, subset, {"seed": seed, **balance_details(deviation, tolerance)})
