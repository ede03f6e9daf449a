"""A run goes to an object store, and is scored and begun from there."""

import json

import numpy as np
import pytest

from malaria_exp.evaluation.predictions import read
from malaria_exp.runs.initial_weights import find_weights
from malaria_exp.utils.errors import ConfigError


def test_stored_scored_from_there_and_begun_from_there(finished_run, run_task, tiny_cellnet, tmp_path):
    url = f"memory://{tmp_path.name}/runs"
    kept = ["storage=fsspec", f"storage.url={url}"]
    untrained = [*(item for item in tiny_cellnet if not item.startswith("trainer.")), "trainer=none"]
    saved = ["model.input=raw", "save_as=[weights]"]
    folder = run_task([*untrained, f"init_from={finished_run}", *saved, *kept], tmp_path / "outputs" / "first")
    there = f"{url}/first"
    status = json.loads((folder / "status.json").read_text())
    assert (status["status"], status["stored"]) == ("done", there)
    # Scores are the same whatever is saved.
    assert (folder / "predictions.csv").read_bytes() == (finished_run / "predictions.csv").read_bytes()
    again = run_task(["task=evaluate", f"run={there}", "evaluation.resamples=20"], tmp_path / "again")
    np.testing.assert_array_equal(read(again / "predictions.csv").score, read(folder / "predictions.csv").score)
    assert json.loads((again / "metrics.json").read_text())["run"] == there
    begun = run_task([*untrained, f"init_from={there}"], tmp_path / "begun")
    np.testing.assert_array_equal(read(begun / "predictions.csv").score, read(folder / "predictions.csv").score)
    report = json.loads((begun / "init_from.json").read_text())
    assert (report["source"], report["layers_not_loaded"]) == (there, 0)
    assert (begun / "parent_split.csv").exists()
    # Of a file alone, too, the run beside it is known, and so are its patients.
    initial = find_weights(f"{there}/model.weights.h5", tmp_path / "cache", tmp_path)
    assert initial.file.name == "model.weights.h5"
    assert (initial.run / "split.csv").read_bytes() == (folder / "split.csv").read_bytes()


def test_a_storage_that_cannot_be_written_stops_the_run_before_any_work(run_task, tiny_cellnet, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"storage\.path: runs cannot be copied to"):
        run_task([*tiny_cellnet, "storage=path", f"storage.path={tmp_path / 'file' / 'x'}"], tmp_path / "run")
    assert not (tmp_path / "run").exists()
