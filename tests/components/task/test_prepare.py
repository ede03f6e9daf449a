"""The task writes shards of the model's size, or a sample that is read as the official set."""

from pathlib import Path

import numpy as np
import pytest
from fallible_cells import contents, draw

from malaria_exp.components.dataset.nih import nih
from malaria_exp.components.dataset.shards import shards
from malaria_exp.config.registry import build
from malaria_exp.data.resize import ResizeRule
from malaria_exp.data.write_sample import new_sample_folder, write_sample
from malaria_exp.utils.errors import ConfigError, DataError


def test_the_task_takes_the_models_size_or_its_own(run_task, tiny_cellnet, tmp_path):
    run_task(["task=prepare", f"task.to={tmp_path / 'a'}", *tiny_cellnet], tmp_path)
    run_task(["task=prepare", f"task.to={tmp_path / 'b'}", "task.size=20", "cache.resize=stretch", *tiny_cellnet], tmp_path)
    assert shards(path=str(tmp_path / "a")).source.set.rule == ResizeRule(32, "pad")
    assert shards(path=str(tmp_path / "b")).source.set.rule == ResizeRule(20, "stretch")


def test_a_sample_is_read_as_the_official_set(run_task, make_nih_zip, tiny, tmp_path):
    run_task(["task=prepare", "task.what=sample", "task.cells=null", f"task.to={tmp_path / 'new' / 'sample'}", *tiny], tmp_path)
    folder = tmp_path / "new" / "sample"
    files = {str(path.relative_to(folder / "cell_images")): path.read_bytes() for path in (folder / "cell_images").rglob("*.png")}
    mappings = sorted(str(path) for path in folder.glob("patientid_cellmapping_*.csv"))
    assert [Path(path).name for path in mappings] == ["patientid_cellmapping_parasitized.csv", "patientid_cellmapping_uninfected.csv"]
    found = nih(path=str(make_nih_zip(tmp_path / "cells.zip", files)), mappings=mappings)
    drawn = build("dataset", "synthetic", {"infected_patients": 8, "healthy_patients": 3, "cells_per_patient": 8, "cell_size": 40})
    order = np.argsort(drawn.cell_id)
    rows = order[np.searchsorted(drawn.cell_id[order], found.cell_id)]
    assert sorted(rows.tolist()) == list(range(len(drawn)))
    for name in ("label", "patient", "slide", "field"):
        assert np.array_equal(getattr(found, name), getattr(drawn, name)[rows]), name
    assert all(np.array_equal(found.source.read(i), drawn.source.read(int(rows[i]))) for i in range(len(found)))
    # The same patients in the same subsets.
    subsets = [build("split", "patient_holdout", {}, table) for table in (found, drawn)]
    assert np.array_equal(subsets[0].subset, subsets[1].subset[rows])
    # Written again from the zip, the files keep their bytes, so the split has the same hash.
    write_sample(found, tmp_path / "again", None, 0)
    again = {
        str(path.relative_to(tmp_path / "again" / "cell_images")): path for path in (tmp_path / "again" / "cell_images").rglob("*.png")
    }
    assert {name: path.read_bytes() for name, path in again.items()} == files
    second = nih(path=str(make_nih_zip(tmp_path / "again.zip", files)))
    assert build("split", "patient_holdout", {}, second).hash == subsets[0].hash


def test_parts_that_cannot_be_are_refused(run_task, tiny, tmp_path):
    for keys, words in (
        (["task.parts=2", "task.part=2"], "task.part: expected 0 to 1"),
        (["task.parts=2", "task.what=sample"], "task.parts: received 2; a sample is written by one job"),
    ):
        with pytest.raises(ConfigError, match=words):
            run_task(["task=prepare", f"task.to={tmp_path / 'set'}", *keys, *tiny], tmp_path)
    assert not (tmp_path / "set").exists()


def test_a_folder_that_holds_anything_is_left_alone(run_task, tiny, tmp_path):
    (tmp_path / "mine").mkdir()
    write_sample(draw(), tmp_path / "mine", 20, 0)
    before = contents(tmp_path / "mine" / "cell_images" / "Uninfected")
    with pytest.raises(DataError, match="holds files already"):
        run_task(["task=prepare", "task.what=sample", f"task.to={tmp_path / 'mine'}", *tiny], tmp_path)
    assert contents(tmp_path / "mine" / "cell_images" / "Uninfected") == before
    with pytest.raises(ConfigError, match="expected a local folder for a sample, received 's3://"):
        new_sample_folder("s3://bucket/sample")
    assert new_sample_folder(f"file://{tmp_path}/new") == tmp_path / "new"
