from dataclasses import replace

import numpy as np
import pytest

from malaria_exp.config.registry import build
from malaria_exp.evaluation.subgroups.columns import columns_of_cells, subgroup_columns
from malaria_exp.utils.errors import DataError

TABLE = build("dataset", "synthetic", {"infected_patients": 3, "healthy_patients": 2, "cells_per_patient": 4})
MISSING = TABLE.patient == TABLE.patient[0]
FURTHER = {
    "site": np.array(["north", "south"])[np.arange(len(TABLE)) % 2],
    "stain": np.where(MISSING, "", "Giemsa"),
    "age": np.arange(len(TABLE)).astype(str),
    "country": np.full(len(TABLE), "Mali"),
}


def test_columns_are_found_in_any_case_of_letters():
    found = subgroup_columns(replace(TABLE, further=FURTHER), ["Site"])
    assert list(found) == ["site"]
    assert found["site"].tolist() == FURTHER["site"].tolist()
    assert subgroup_columns(TABLE, []) == {}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "sites",
            r"'sites': the dataset '\w+' has no such column; its further columns are site, stain, age, country. Did you mean 'site'\?",
        ),
        ("stain", rf"{MISSING.sum()} of {len(TABLE)} cells have no value .* They are of 1 patient: {TABLE.patient[0]}\. Fill it in"),
        ("age", rf"has {len(TABLE)} different values \(0, 1, 10, 11, 12, \.\.\.\); expected 2 to 16\. Write classes into it"),
        ("country", "is 'Mali' for every cell"),
    ],
)
def test_columns_that_make_no_groups_are_refused_with_what_to_do(name, message):
    with pytest.raises(DataError, match=f"^evaluation.subgroups: .*{message}"):
        subgroup_columns(replace(TABLE, further=FURTHER), [name])


def test_a_dataset_without_a_csv_says_where_columns_come_from():
    with pytest.raises(DataError, match="no further columns; they are read from the CSV of dataset=folder: dataset.csv="):
        subgroup_columns(TABLE, ["site"])


def test_cells_that_were_scored_earlier_are_found_by_name_and_patient():
    table = replace(TABLE, further=FURTHER)
    rows = np.random.default_rng(0).permutation(len(TABLE))[:5]
    found = columns_of_cells(table, ["SITE"], table.cell_id[rows], table.patient[rows])
    assert list(found) == ["site"] and found["site"].tolist() == FURTHER["site"][rows].tolist()
    with pytest.raises(DataError, match=r"1 of 2 scored cells are not in the dataset .* first 'zz' of patient"):
        columns_of_cells(table, ["site"], np.array([table.cell_id[0], "zz"]), table.patient[[0, 1]])
    with pytest.raises(DataError, match=r"2 of 2 scored cells .* another patient's"):
        columns_of_cells(table, ["site"], table.cell_id[:2], np.array(["X", "Y"]))
