"""A table holds one row a cell, 1 means parasitized whatever the source counts, and its hash knows data, not order."""

import dataclasses

import numpy as np
import pytest

from malaria_exp.data.cell_table import CLASS_NAMES, POSITIVE, UNKNOWN, BadImage, BadImagePolicy, CellTable
from malaria_exp.utils.errors import DataError


class NoPixels:
    def read(self, index):
        raise AssertionError("no test here looks at pixels")


def columns(n=4):
    return {
        "cell_id": np.array([f"c{i}" for i in range(n)]),
        "patient": np.array(["P1", "P1", "P2", "P3"])[:n],
        "slide": np.array(["S1", "S2", "S3", "S4"])[:n],
        "field": np.array(["F1", "F1", "F2", "F3"])[:n],
        "content": np.array([f"{i:064x}" for i in range(n)]),
        "source": NoPixels(),
    }


def make(label=(1, 0, 0, 0), **changed):
    return CellTable(**{"name": "small", "label": np.array(label, dtype=np.int8), **columns(), **changed})


def test_labels_come_from_class_names_not_from_their_order():
    sick = np.array([True, False, True, False])
    for labels in ({"parasitized": sick, "uninfected": ~sick}, {"uninfected": ~sick, "parasitized": sick}):
        table = CellTable.from_names("small", labels, **columns())
        assert table.label.tolist() == [1, 0, 1, 0] and table.label.dtype == np.int8
    assert CLASS_NAMES[POSITIVE] == "parasitized"
    assert POSITIVE == 1


@pytest.mark.parametrize(
    "labels",
    [
        {"infected": np.array([True] * 4), "uninfected": np.array([False] * 4)},
        {"parasitized": np.array([True] * 4)},
        {"parasitized": np.array([True, False, False, False]), "uninfected": np.array([False, True, True, False])},
        {"parasitized": np.array([True, True, False, False]), "uninfected": np.array([False, True, True, True])},
    ],
    ids=["other name", "one class only", "a cell in no class", "a cell in both"],
)
def test_each_cell_needs_exactly_one_known_class(labels):
    with pytest.raises(ValueError, match="Expected"):
        CellTable.from_names("small", labels, **columns())


def test_wrong_columns_are_refused():
    with pytest.raises(ValueError, match="one length"):
        make(patient=np.array(["P1"] * 3))
    with pytest.raises(ValueError, match=r"labels 0 and 1.*2"):
        make(label=(2, 0, 1, 0))
    with pytest.raises(DataError, match="'small' holds no cells"):
        make(label=(), **{name: value[:0] for name, value in columns().items() if name != "source"})


def test_a_name_given_twice_is_refused_and_named():
    with pytest.raises(DataError, match=r"1 cell names more than once:\n  c2$"):
        make(cell_id=np.array(["c0", "c2", "c2", "c3"]))


def test_infected_is_a_property_of_the_patient():
    assert make(label=(0, 1, 0, 0)).infected.tolist() == [True, True, False, False]
    assert not make(label=(0, 0, 0, 0)).infected.any()


def test_summary_counts_patients_slides_and_fields():
    assert make(label=(0, 1, 0, 1)).summary() == {
        "cells": 4,
        "parasitized": 2,
        "uninfected": 2,
        "patients": 3,
        "infected_patients": 2,
        "healthy_patients": 1,
        "slides": 4,
        "fields": 3,
    }


def test_the_hash_does_not_know_the_order_of_rows():
    table = make()
    order = np.array([2, 0, 3, 1])
    columns = {field.name: getattr(table, field.name) for field in dataclasses.fields(table)}
    turned = dataclasses.replace(table, **{name: value[order] for name, value in columns.items() if isinstance(value, np.ndarray)})
    assert turned.cell_id.tolist() == ["c2", "c0", "c3", "c1"] and turned.data_hash == table.data_hash


@pytest.mark.parametrize(
    "changed",
    [
        {"cell_id": np.array(["c0", "c1", "c2", "c9"])},
        {"label": (1, 0, 0, 1)},
        {"patient": np.array(["P1", "P2", "P2", "P3"])},
        {"content": np.array([f"{i:064x}" for i in (0, 1, 2, 7)])},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_the_hash_changes_with_the_data(changed):
    assert make(**changed).data_hash != make().data_hash


def test_what_is_no_datum_is_not_in_the_hash():
    changed = make(
        file=np.array(["a.png", "b.png", "c.png", "d.png"]),
        truth=np.array([0, 0, 1, 1], dtype=np.int8),
        slide=np.array(["S9"] * 4),
        bad=(BadImage("e.png", "empty"),),
        policy=BadImagePolicy("skip", 0.5),
        notes=("a note",),
    )
    assert changed.data_hash == make().data_hash


@pytest.mark.parametrize("name", ["file", "truth", "slide", "content"])
def test_every_column_has_a_value_for_each_cell(name):
    with pytest.raises(ValueError, match=f"one length.*'{name}': 3"):
        make(**{name: np.array(["1"] * 3)})


def test_unknown_patients_are_counted():
    assert make().unknown_patients == 0
    assert make(patient=np.array([UNKNOWN, "P1", UNKNOWN, "unknown to us"])).unknown_patients == 2


class Numbered:
    """An image is its row's number."""

    def read(self, index):
        return np.full((2, 3, 3), index, np.uint8)


FULL = {
    "file": np.array([f"{i}.png" for i in range(4)]),
    "truth": np.array([1, 1, 0, 0], dtype=np.int8),
    "bad": (BadImage("e.png", "empty"),),
    "policy": BadImagePolicy("skip", 0.5),
    "notes": ("a note",),
    "source": Numbered(),
}


@pytest.mark.parametrize("rows", [[2, 0], [3], [0, 1, 2, 3], [3, 2, 1, 0]])
def test_chosen_rows_keep_all_that_belongs_to_them(rows):
    table = make(**FULL)
    chosen = table.select(np.array(rows))
    assert len(chosen) == len(rows)
    for name in ("cell_id", "label", "patient", "slide", "field", "content", "file", "truth"):
        assert getattr(chosen, name).tolist() == getattr(table, name)[rows].tolist()
    assert [int(chosen.source.read(row)[0, 0, 0]) for row in range(len(rows))] == rows
    assert (chosen.name, chosen.bad, chosen.policy, chosen.notes) == (table.name, table.bad, table.policy, table.notes)
