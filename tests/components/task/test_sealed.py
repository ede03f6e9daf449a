"""evaluation.test=false: the test subset stays sealed in training, and task=evaluate opens that of the run that was chosen."""

import json

import numpy as np
import pytest

from malaria_exp.data.subsets import Data
from malaria_exp.evaluation.predictions import read
from malaria_exp.evaluation.reports.results_table import results_table
from malaria_exp.tracking.result_tables import results_text


def metrics_of(folder):
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def sealed(run_task, tiny_cellnet, tmp_path_factory):
    """A run that left its test subset sealed; its folder is alone in another one."""
    with pytest.MonkeyPatch.context() as patch:
        opened = []
        plain = Data._cells
        patch.setattr(Data, "_cells", lambda data, subset: opened.append(subset) or plain(data, subset))
        folder = run_task(
            [*tiny_cellnet, "trainer.epochs=2", "evaluation.test=false", "logger=[csv,jsonl]"], tmp_path_factory.mktemp("sealed") / "run"
        )
    assert set(opened) == {"train", "val"}
    return folder


def test_no_test_cell_is_scored_and_every_place_says_so(sealed, finished_run):
    metrics, whole = metrics_of(sealed), metrics_of(finished_run)
    assert set(metrics["subsets"]) == set(read(sealed / "predictions.csv").subsets) == {"val"}
    assert metrics["subsets"]["val"] == whole["subsets"]["val"], "opening the test subset changes nothing on validation"
    assert metrics["thresholds"] == whole["thresholds"]
    assert set(json.loads((sealed / "status.json").read_text())["headline"]) == {"val"}
    page = (sealed / "report.html").read_text()
    assert "which stayed sealed (evaluation.test=false)" in page and "numbers of validation patients, and too good" in page
    told = (sealed / "events.jsonl").read_text()
    assert "test/auc" not in told and "val/auc" in told
    assert "The test subset stayed sealed" in results_text(metrics) and "The test subset stayed sealed" in results_table(metrics)


def test_opening_it_in_the_end_gives_what_a_run_that_was_never_sealed_gives(sealed, finished_run, run_task):
    folder = run_task(["task=evaluate", f"run={sealed}", "evaluation.resamples=20"], sealed.parent / "opened")
    found, whole = metrics_of(folder), metrics_of(finished_run)
    assert found["subsets"] == whole["subsets"]
    one, two = read(folder / "predictions.csv"), read(finished_run / "predictions.csv")
    np.testing.assert_array_equal(one.score, two.score)
    assert "Its test subset, which had stayed sealed" in (folder / "report.html").read_text()


def test_sealed_runs_are_compared_by_their_validation_cells(sealed, finished_run, run_task, tmp_path):
    page = (run_task(["task=compare", f"runs=[{sealed},{finished_run}]"], tmp_path / "both") / "compare.html").read_text()
    assert "1 of 2 runs" in page and "left the test subset sealed" in page and "done, val" in page
    page = (run_task(["task=compare", f"runs=[{sealed}]"], tmp_path / "one") / "compare.html").read_text()
    assert "val AUC" in page and "All runs left the test subset sealed" in page
    rows = (tmp_path / "both" / "runs.csv").read_text().splitlines()
    assert sum(",val," in row for row in rows) == sum(",test," in row for row in rows) == 1
