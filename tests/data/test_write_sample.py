"""A sample has the form of the official set, fair fractions of all patients, and is whole or not there."""

import csv
import shutil

import numpy as np
import pytest
from fallible_cells import draw

from malaria_exp.config.registry import build
from malaria_exp.data.cell_table import BadImageError
from malaria_exp.data.write_sample import choose, write_sample
from malaria_exp.utils.errors import DataError


def test_mappings_have_the_official_form(tmp_path):
    table = draw()
    write_sample(table, tmp_path / "sample", None, 0)
    data = (tmp_path / "sample" / "patientid_cellmapping_uninfected.csv").read_bytes()
    rows = data.decode().split("\r\n")
    assert rows.pop() == "" and len(rows) == len(np.unique(table.slide[table.label == 0]))
    slide = str(table.slide[table.label == 0][0])
    names = sorted(f"{name}.png" for name in table.cell_id[(table.slide == slide) & (table.label == 0)].tolist())
    assert f"{slide},[" + ", ".join(f"'{name}'" for name in names) + "],,,," in rows


def test_a_small_sample_keeps_patients_and_fractions():
    table = build("dataset", "synthetic", {"infected_patients": 10, "healthy_patients": 4, "cells_per_patient": 40, "cell_size": 24})
    rows = choose(table, 140, seed=0)
    assert len(set(rows.tolist())) == 140
    assert (np.diff(rows) > 0).all()
    fraction = 140 / len(table)
    for patient in np.unique(table.patient):
        for label in (0, 1):
            of_kind = (table.patient == patient) & (table.label == label)
            if of_kind.any():
                taken = int(of_kind[rows].sum())
                # Everyone's first cell takes a little from the large ones.
                assert max(1, int(of_kind.sum() * fraction) - 2) <= taken <= of_kind.sum() * fraction + 1
    assert choose(table, 140, seed=1).tolist() != rows.tolist()
    turned = np.random.default_rng(0).permutation(len(table))
    assert set(table.cell_id[turned][choose(table.select(turned), 140, seed=0)]) == set(table.cell_id[rows])
    assert choose(table, None, 0).tolist() == choose(table, 10**6, 0).tolist() == list(range(len(table)))


def test_true_labels_stand_beside_the_sample(tmp_path):
    table = draw()
    truth = table.label.copy()
    truth[:3] = 1 - truth[:3]
    write_sample(draw(truth=truth), tmp_path / "sample", None, 0)
    with (tmp_path / "sample" / "truth.csv").open() as file:
        rows = {row["cell_id"]: row for row in csv.DictReader(file)}
    assert len(rows) == len(table)
    assert sum(row["label"] != row["truth"] for row in rows.values()) == 3
    assert rows[str(table.cell_id[0])]["truth"] == ("uninfected", "parasitized")[truth[0]]


def test_a_sample_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(DataError, match="1 bad images"):
        write_sample(draw({4: BadImageError("cut off")}), tmp_path / "sample", None, 0)
    assert list(tmp_path.iterdir()) == []
    names = draw().cell_id.copy()
    names[7] = "cell 7"
    with pytest.raises(DataError, match="1 cells have names that do not follow the grammar.*\n  cell 7"):
        write_sample(draw(cell_id=names), tmp_path / "sample", None, 0)
    shutil.rmtree(tmp_path)
