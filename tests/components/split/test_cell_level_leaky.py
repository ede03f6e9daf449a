"""The notebooks' split does what it says: fractions of each class exact, patients on both sides, and marked as leaking."""

import dataclasses

import numpy as np
import pytest

from malaria_exp.components.split.cell_level_leaky import cell_level_leaky
from malaria_exp.config.registry import build
from malaria_exp.data.cell_table import UNKNOWN, CellTable
from malaria_exp.data.split_manifest import SUBSETS, TABLE_COLUMNS, guard_against_leaks
from malaria_exp.utils.errors import DataError, LeakError


@pytest.fixture(scope="module")
def table() -> CellTable:
    return build("dataset", "synthetic", {"infected_patients": 12, "healthy_patients": 4, "cells_per_patient": 20})


def small(table, rows):
    return dataclasses.replace(table, **{name: getattr(table, name)[rows] for name in TABLE_COLUMNS})


@pytest.mark.parametrize("fractions", [(0.8, 0.1, 0.1), (0.5, 0.2, 0.3)])
def test_each_class_is_divided_by_the_fractions_and_no_cell_is_lost(table, fractions):
    manifest = cell_level_leaky(table, **dict(zip(SUBSETS, fractions, strict=True)))
    assert set(manifest.subset.tolist()) == set(SUBSETS)
    for label in (0, 1):
        of_class = table.label == label
        for name, fraction in zip(SUBSETS, fractions, strict=True):
            assert abs((manifest.subset[of_class] == name).sum() - fraction * of_class.sum()) <= 1


def test_it_leaks_and_is_known_to_with_known_patients_and_without(table):
    manifest = cell_level_leaky(table)
    assert manifest.protocol == "cell_level_leaky" and manifest.leaky and len(manifest.crossing_patients) > 10
    assert manifest.crossing_contents == {}
    guard_against_leaks(manifest, patients_may_cross=True, allow_leak=False)
    with pytest.raises(LeakError):
        guard_against_leaks(manifest, patients_may_cross=False, allow_leak=False)
    manifest = cell_level_leaky(dataclasses.replace(table, patient=np.full(len(table), UNKNOWN)))
    assert manifest.subset.tolist() == cell_level_leaky(table).subset.tolist() and manifest.leaky
    guard_against_leaks(manifest, patients_may_cross=True, allow_leak=False)
    with pytest.raises(LeakError, match="cells of unknown patients: test, train, val"):
        guard_against_leaks(manifest, patients_may_cross=False, allow_leak=False)


def test_seeds_differ_and_the_order_of_rows_decides_nothing(table):
    manifests = [cell_level_leaky(table, seed=seed) for seed in range(3)]
    assert len({one.hash for one in manifests}) == 3
    order = np.random.default_rng(0).permutation(len(table))
    for seed, manifest in enumerate(manifests):
        assert cell_level_leaky(small(table, order), seed=seed).hash == manifest.hash


def test_no_subset_is_left_empty(table):
    few = small(table, np.concatenate([np.flatnonzero(table.label == 1)[:3], np.flatnonzero(table.label == 0)[:3]]))
    with pytest.raises(DataError, match="is empty"):
        cell_level_leaky(few)
