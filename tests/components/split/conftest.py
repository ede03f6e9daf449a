"""Tables that the tests of splits share."""

import csv
import dataclasses
import gzip
from pathlib import Path

import numpy as np
import pytest

from malaria_exp.config.registry import build
from malaria_exp.data.cell_table import CellTable
from malaria_exp.data.readers.names import parse_name
from malaria_exp.data.split_manifest import TABLE_COLUMNS

INDEX = Path(__file__).resolve().parents[4] / "shared" / "nih" / "nih_index.tsv.gz"


@pytest.fixture(scope="session")
def cohort():
    """cohort(patients): a table of patients given as (parasitized, uninfected) cells; each has two slides."""

    def make(patients):
        patient = np.repeat([f"P{i:03d}" for i in range(len(patients))], [sum(cells) for cells in patients])
        label = np.concatenate([[1] * sick + [0] * well for sick, well in patients]).astype(np.int8)
        cell = np.arange(len(label))
        return CellTable(
            name="made",
            cell_id=np.array([f"c{i:05d}" for i in cell]),
            label=label,
            patient=patient,
            slide=np.char.add(patient, np.where(cell % 2, "a", "b")),
            field=np.char.add(patient, "f"),
            content=np.array([f"{i:064x}" for i in cell]),
            source=None,
        )

    return make


@pytest.fixture(scope="session")
def shuffled():
    """shuffled(table, seed): the same cells in another order."""

    def shuffle(table, seed):
        order = np.random.default_rng(seed).permutation(len(table))
        return dataclasses.replace(table, **{name: getattr(table, name)[order] for name in TABLE_COLUMNS})

    return shuffle


@pytest.fixture(scope="session")
def skewed():
    """Patients as uneven as the real ones: a few have most of the cells."""
    return build("dataset", "synthetic", {"infected_patients": 60, "healthy_patients": 20, "cells_per_patient": 20})


@pytest.fixture(scope="session")
def official():
    """All 27,558 official cells by name, without pixels."""
    if not INDEX.is_file():
        pytest.skip(f"no index of the official files: {INDEX} does not exist")
    with gzip.open(INDEX, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    names = [row["file"].removesuffix(".png") for row in rows]
    parts = [parse_name(name) for name in names]
    return CellTable(
        name="nih",
        cell_id=np.array(names),
        label=np.array([row["label"] == "parasitized" for row in rows]).astype(np.int8),
        patient=np.array([found.patient for found in parts]),
        slide=np.array([found.slide for found in parts]),
        field=np.array([found.field for found in parts]),
        content=np.array([row["sha256"] for row in rows]),
        source=None,
    )
