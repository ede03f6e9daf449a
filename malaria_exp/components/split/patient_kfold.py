"""Cross-validation over patients: each patient is tested in exactly one fold."""

from typing import Annotated, Any

import numpy as np

from malaria_exp.components.split._balance import divide_patients
from malaria_exp.config.registry import early_check, register
from malaria_exp.config.validation import Count, Fraction, Positive, Range
from malaria_exp.data.cell_table import CellTable
from malaria_exp.data.split_manifest import Manifest
from malaria_exp.utils.errors import ConfigError


def check_fold(*, k: int, fold: int, **_: Any) -> None:
    """Raises a ConfigError if the fold does not exist."""
    if fold >= k:
        raise ConfigError(f"split.fold: expected 0 to {k - 1} (split.k = {k}), received {fold}.")


@register("split", "patient_kfold")
@early_check(check_fold)
def patient_kfold(
    table: CellTable,
    /,
    *,
    k: Annotated[int, Range(low=2)] = 5,
    fold: Count = 0,
    val: Fraction = 0.125,
    tolerance: Fraction = 0.03,
    largest: Positive | None = 3.0,
    seed: Count = 0,
) -> Manifest:
    """Tests on fold i of k patient-disjoint folds; validation patients are disjoint from both.

    All k folds together: python run.py -m split=patient_kfold split.fold=0,1,2,3,4

    Args:
        k: number of folds.
        fold: the fold that is tested, 0 to k - 1.
        val: fraction of the patients outside the fold for validation; the others are for training.
        tolerance: how far a fold's fraction of parasitized, uninfected or healthy patients' cells may be from its target.
        largest: outside the fold, patients with more than this many times the average patient's cells of a class are always in
            training; null for no such rule. Folds have none, as every patient must be tested.
        seed: chooses the folds; the same for all folds of one cross-validation.

    Raises:
        ConfigError: the fold does not exist.
        DataError: too few patients.
    """
    check_fold(k=k, fold=fold)
    fold_of, folds = divide_patients(table, {str(number): 1 / k for number in range(k)}, [seed, 2], tolerance)
    rest = np.array([patient for patient, number in fold_of.items() if number != str(fold)])
    subsets = {"train": 1 - val, "val": val}
    subset_of, details = divide_patients(table, subsets, [seed, 3, fold], tolerance, largest=largest, among=rest)
    subset = np.array([subset_of.get(patient, "test") for patient in table.patient.tolist()])
    details = {
        "largest_share_deviation": max(folds["largest_share_deviation"], details["largest_share_deviation"]),
        "warnings": [*folds["warnings"], *details["warnings"]],
    }
    return Manifest.from_table("patient_kfold", table, subset, {"k": k, "fold": fold, "seed": seed, **details})
