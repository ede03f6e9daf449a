"""The subgroup table: rates of each group of patients with intervals, and whether they differ from those of all others."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from malaria_exp.evaluation.holm import holm
from malaria_exp.evaluation.intervals.interval_interface import IntervalMethod
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.subgroups.groupings import NONE, Grouping, groupings
from malaria_exp.evaluation.subgroups.permutation_test import compare_with_rest
from malaria_exp.evaluation.thresholds import HALF

# The rates that are tested, and the label of the cells that they are fractions of.
TESTED = {"sensitivity": 1, "specificity": 0}


def subgroups(
    cells: Predictions,
    predicted: np.ndarray,
    columns: Mapping[str, np.ndarray] | None = None,
    *,
    interval: IntervalMethod,
    seed: int,
    **settings: Any,
) -> list[dict[str, Any]]:
    """Returns the subgroup table.

    Args:
        cells: of one subset, with known patients.
        predicted: bool (N,), predicted parasitized.
        columns: that groups are also made of, see `groupings`.
        interval: how intervals are computed.
        seed: of what is resampled and permuted.
        **settings: resamples and confidence of `interval`.

    Returns:
        A row a group: {"grouping", "title", "group", "patients", "cells", "parasitized", "sensitivity": cell, "specificity": cell, "auc": cell,
        "tests": {rate: {"difference", "p", "p_holm", "reason"}}} with cell as in `IntervalMethod`; p_holm is p after Holm's correction for all
        tests of the table. Of a grouping with two groups the second has the same tests as the first, and none of its own.
    """
    found = []
    for grouping in groupings(cells, columns):
        for place, group in enumerate(grouping.groups):
            member = grouping.of_cell == group
            row = _row(cells, predicted, member, interval, seed=seed, **settings)
            tested = {} if place and len(grouping.groups) == 2 else _tests(cells, predicted, grouping, member, seed)
            found.append({"grouping": grouping.name, "title": grouping.title, "group": group, **row, "tests": tested})
    tests = [test for row in found for test in row["tests"].values()]
    for test, corrected in zip(tests, holm([test["p"] for test in tests]), strict=True):
        test["p_holm"] = corrected
    return found


def _row(cells: Predictions, predicted: np.ndarray, member: np.ndarray, interval: IntervalMethod, **settings: Any) -> dict[str, Any]:
    labels, patients = cells.label[member], cells.patient[member]
    # What was predicted, as scores of 0 and 1: folds have thresholds of their own.
    rates = interval(labels, predicted[member].astype(np.float64), patients, {"own": HALF}, **settings)["at"]["own"]
    ranking = interval(labels, cells.score[member], patients, {}, **settings)["ranking"]
    return {
        "patients": len(np.unique(patients)),
        "cells": len(labels),
        "parasitized": int((labels == 1).sum()),
        "sensitivity": rates["sensitivity"],
        "specificity": rates["specificity"],
        "auc": ranking["auc"],
    }


def _tests(cells: Predictions, predicted: np.ndarray, grouping: Grouping, member: np.ndarray, seed: int) -> dict[str, dict[str, Any]]:
    found = {}
    for rate, label in TESTED.items():
        own = (cells.label == label) & (grouping.of_cell != NONE)
        found[rate] = vars(compare_with_rest(predicted[own] == label, cells.patient[own], member[own], seed))
    return found
