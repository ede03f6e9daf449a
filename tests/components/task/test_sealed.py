"""evaluation.test=false: the test subset stays sealed in training, and task=evaluate opens that of the run that was chosen."""

import json
import shutil

import numpy as np
import pytest
from conftest import TINY_CELLNET, WITH_DETECTOR

from malaria_exp.data.subsets import Data
from malaria_exp.evaluation.predictions import read
from malaria_exp.evaluation.reports.results_table import results_table
from malaria_exp.runs.access_log import LOG
from malaria_exp.tracking.result_tables import results_text
from malaria_exp.utils.atomic_files import write_json


def metrics_of(folder):
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def sealed(run_task, tmp_path_factory):
    """A run that left its test subset sealed; its folder is alone in another one."""
    with pytest.MonkeyPatch.context() as patch:
        opened = []
        plain = Data._cells
        patch.setattr(Data, "_cells", lambda data, subset: opened.append(subset) or plain(data, subset))
        folder = run_task(
            [*WITH_DETECTOR, *TINY_CELLNET, "trainer.epochs=2", "evaluation.test=false", "logger=[csv,jsonl]"],
            tmp_path_factory.mktemp("sealed") / "run",
        )
    assert set(opened) == {"train", "val"}
    return folder


def test_no_test_cell_is_scored_and_every_place_says_so(sealed, finished_run):
    metrics, whole = metrics_of(sealed), metrics_of(finished_run)
    assert set(metrics["subsets"]) == set(read(sealed / "predictions.csv").subsets) == {"val"}
    # Of a sealed run the chapters on subgroups and usefulness are of validation cells; what both runs say of them is the same.
    found = {key: metrics["subsets"]["val"][key] for key in whole["subsets"]["val"]}
    assert found == whole["subsets"]["val"], "opening the test subset changes nothing on validation"
    assert metrics["thresholds"] == whole["thresholds"]
    assert "test_access" not in metrics and not (sealed.parent / LOG).exists()
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
    assert found["test_access"] == {"openings": 1, "configurations": 1, "unread_lines": 0}
    page = (folder / "report.html").read_text()
    assert "Its test subset, which had stayed sealed" in page and "This test set has been opened once, by 1 configuration" in page
    again = run_task(["task=evaluate", f"run={sealed}", "evaluation.resamples=20"], sealed.parent / "again")
    assert metrics_of(again)["test_access"]["openings"] == 2
    known = [json.loads(line) for line in (sealed.parent / LOG).read_text().splitlines()]
    assert [one["run"] for one in known] == ["opened", "again"] and len({one["configuration"] for one in known}) == 1


def test_evaluating_it_without_opening_it_leaves_no_trace_and_says_whom_its_split_never_tests(sealed, run_task, tmp_path):
    run = shutil.copytree(sealed, tmp_path / "run")
    never_tested = {"patients": 16, "largest": 3.0, "parasitized": 0.511, "uninfected": 0.07}
    write_json(run / "metrics.json", metrics_of(run) | {"split": {"never_tested": never_tested}})
    folder = run_task(["task=evaluate", f"run={run}", "evaluation.test=false", "evaluation.resamples=20"], tmp_path / "closed")
    assert set(metrics_of(folder)["subsets"]) == {"val"} and metrics_of(folder)["split"] == {"never_tested": never_tested}
    page = (folder / "report.html").read_text()
    assert "its test subset stayed sealed" in page
    assert "16 patients with over 3 times the average" in page and "51% of the parasitized and 7% of the uninfected cells" in page
    assert not (tmp_path / LOG).exists()


def test_sealed_runs_are_compared_by_their_validation_cells(sealed, finished_run, run_task, tmp_path):
    page = (run_task(["task=compare", f"runs=[{sealed},{finished_run}]"], tmp_path / "both") / "compare.html").read_text()
    assert "1 of 2 runs" in page and "left the test subset sealed" in page and "done, val" in page
    page = (run_task(["task=compare", f"runs=[{sealed}]"], tmp_path / "one") / "compare.html").read_text()
    assert "val AUC" in page and "All runs left the test subset sealed" in page
    rows = (tmp_path / "both" / "runs.csv").read_text().splitlines()
    assert sum(",val," in row for row in rows) == sum(",test," in row for row in rows) == 1


def test_a_run_that_opened_its_test_subset_is_in_the_log(finished_run):
    assert metrics_of(finished_run)["test_access"] == {"openings": 1, "configurations": 1, "unread_lines": 0}
    entry = json.loads((finished_run.parent / LOG).read_text())
    patients = read(finished_run / "predictions.csv").select("test").patient
    assert entry["patients"] == sorted(set(patients.tolist())) and entry["task"] == "train"
    assert "opened once, by 1 configuration" in (finished_run / "report.html").read_text()
