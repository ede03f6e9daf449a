"""Training, validation and test patients, each patient in one subset only."""

import numpy as np

from malaria_exp.components.split._balance import check_sum, divide_patients
from malaria_exp.config.registry import early_check, register
from malaria_exp.config.validation import Count, Fraction, Positive
from malaria_exp.data.cell_table import CellTable
from malaria_exp.data.split_manifest import Manifest


@register("split", "patient_holdout")
@early_check(check_sum)
def patient_holdout(
    table: CellTable,
    /,
    *,
    train: Fraction = 0.7,
    val: Fraction = 0.1,
    test: Fraction = 0.2,
    tolerance: Fraction = 0.02,
    largest: Positive | None = 3.0,
    seed: Count = 0,
) -> Manifest:
    """Divides patients into train, val and test, balanced in cells, classes and healthy patients.

    Args:
        train: fraction of the patients and cells for training.
        val: fraction for validation: early stopping, thresholds, model selection.
        test: fraction for the sealed test subset.
        tolerance: how far a subset's fraction of parasitized, uninfected or healthy patients' cells may be from its target.
        largest: patients with more than this many times the average patient's parasitized or uninfected cells are always in training,
            as a single one would decide the numbers of a small subset; null for no such rule.
        seed: chooses the division. It is not the run's seed, so runs with different seeds have the same test patients.

    Raises:
        ConfigError: the fractions do not sum to 1.
        DataError: too few patients.
    """
    subsets = {"train": train, "val": val, "test": test}
    check_sum(**subsets)
    subset_of, details = divide_patients(table, subsets, [seed, 1], tolerance, largest=largest)
    subset = np.array([subset_of[patient] for patient in table.patient.tolist()])
    return Manifest.from_table("patient_holdout", table, subset, {"seed": seed, **details})
