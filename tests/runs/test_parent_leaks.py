"""Which patients and images a run must not be validated or tested on, because its parent runs have learned from them."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from malaria_exp.config.registry import build
from malaria_exp.data.cell_table import UNKNOWN
from malaria_exp.data.fingerprints import fingerprint
from malaria_exp.data.split_manifest import Manifest
from malaria_exp.runs.finished_runs import PARENT_SPLIT_FILE, FinishedRun, read_parent_splits
from malaria_exp.runs.parent_leaks import compared_by_pixels, find_leaks, guard_against_parent_runs, note_near_duplicates
from malaria_exp.utils.errors import LeakError, RunFolderError


def manifest(subset, patients, contents=None):
    n = len(subset)
    return Manifest(
        protocol="patient_holdout",
        cell_id=np.array([f"c{i}" for i in range(n)]),
        label=np.arange(n) % 2,
        patient=np.array(patients),
        slide=np.array(patients),
        field=np.array(["f"] * n),
        content=np.array(contents or [f"{p}{i}" for i, p in enumerate(patients)]),
        subset=np.array(subset),
    )


SUBSETS = ["train", "val", "test"]


@pytest.mark.parametrize(
    ("theirs", "ours", "leaks"),
    [
        ("train", "train", False),
        ("train", "val", True),
        ("train", "test", True),
        ("val", "train", False),
        ("val", "val", False),
        ("val", "test", True),
        ("test", "train", False),
        ("test", "val", False),
        ("test", "test", False),
        ("excluded", "test", False),
    ],
)
@pytest.mark.parametrize("by", ["patient", "image"])
def test_what_was_learned_from_is_not_judged_on(theirs, ours, leaks, by):
    one = manifest([theirs], ["P1"], ["same"])
    two = manifest([ours], ["P1" if by == "patient" else "P2"], ["other" if by == "patient" else "same"])
    if not leaks:
        assert guard_against_parent_runs(two, one, allow_leak=False) is two
        return
    with pytest.raises(LeakError, match="1 patients, matched by name" if by == "patient" else "1 images, matched by content") as caught:
        guard_against_parent_runs(two, one, allow_leak=False)
    # Whoever shares an image is the same patient, whatever the name.
    assert ("dataset.patients_of=" in str(caught.value)) == (by == "patient")
    marked = guard_against_parent_runs(two, one, allow_leak=True)
    assert marked.leaky
    assert marked.hash == two.hash
    assert "parent runs" in marked.details["warnings"][-1]


def test_images_are_the_same_by_their_pixels_and_pixels_that_are_not_known_are_no_evidence():
    pixels = np.array(["", *(fingerprint(np.random.default_rng(i).integers(0, 255, (9, 9, 3), np.uint8)) for i in range(3))])
    one = dataclasses.replace(manifest(["train"] * 2, ["P1", "P2"]), pixels=pixels[:2])
    two = dataclasses.replace(manifest(["test"] * 3, ["Q1", "Q2", "Q3"]), pixels=pixels[[0, 1, 2]])
    assert find_leaks(two, one) == {"images": ["c1"]}
    assert find_leaks(dataclasses.replace(two, pixels=None), one) == {}
    assert not compared_by_pixels(two, one)


def test_what_looks_like_a_lossy_copy_is_noted_and_nothing_more():
    image = np.random.default_rng(0).integers(0, 250, (30, 30, 3), np.uint8)
    pixels = np.array([fingerprint(image), fingerprint(255 - image), fingerprint(image + 1)])
    split = dataclasses.replace(manifest(SUBSETS, ["P1", "P2", "P3"]), pixels=pixels)
    noted = note_near_duplicates(split, None)
    assert noted.details["warnings"] == ["1 validation or test images look like copies of images the weights learn from: c2 (like c0)."]
    assert not noted.leaky
    assert note_near_duplicates(dataclasses.replace(split, subset=np.array(["train", "val", "excluded"])), None).details == {}
    assert note_near_duplicates(dataclasses.replace(split, subset=np.array(["train", "val", "excluded"])), split).details == {}


def test_unknown_patients_are_no_evidence():
    one, two = manifest(["train"], ["unknown"], ["a"]), manifest(["test"], ["unknown"], ["b"])
    assert guard_against_parent_runs(two, one, allow_leak=False) is two


def test_parents_of_parents_are_followed(finished_run, tmp_path):
    run = shutil.copytree(finished_run, tmp_path / "run")
    before = manifest(SUBSETS, ["Q1", "Q2", "Q3"])
    before.write(run / PARENT_SPLIT_FILE)
    parents = read_parent_splits([run])
    assert {"Q1", "Q2"} <= set(parents.patient)
    assert "Q3" not in parents.patient
    own = FinishedRun.read(finished_run).manifest
    assert set(parents.patient) - {"Q1", "Q2"} == set(own.patient[np.isin(own.subset, ("train", "val"))])
    with pytest.raises(LeakError):
        guard_against_parent_runs(own, manifest(["train"], [own.patient[own.subset == "test"][0]]), allow_leak=False)


def test_an_unfinished_run_is_none_to_build_on(finished_run, tmp_path):
    run = shutil.copytree(finished_run, tmp_path / "run")
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"status": "failed"}))
    with pytest.raises(RunFolderError, match="no finished training run"):
        FinishedRun.read(run)
    # Weights that it wrote on the way know its patients all the same.
    assert len(read_parent_splits([run]).patient)


def test_unknown_patients_on_both_sides_are_no_shared_patient_and_shared_images_are_still_found():
    table = build("dataset", "synthetic", {"infected_patients": 4, "healthy_patients": 2, "cells_per_patient": 8, "cell_size": 40})
    table = dataclasses.replace(table, patient=np.full(len(table), UNKNOWN))
    manifest = build("split", "cell_level_leaky", {}, table)
    others = dataclasses.replace(table, content=np.array([f"{i:064x}" for i in range(len(table))]))
    assert find_leaks(others, manifest) == {}
    assert set(find_leaks(table, manifest)) == {"images"}
    test = table.select(manifest.rows("test"))
    assert find_leaks(test, manifest) == {}
