import json
import shutil

import numpy as np
import pytest

from malaria_exp.errors import ConfigError, DataError, LeakError, RunFolderError
from malaria_exp.evaluation.predictions import read

SMALL = ["dataset.healthy_patients=3", "dataset.cells_per_patient=8", "dataset.cell_size=40", "evaluation.resamples=20"]


def test_a_run_scored_again_scores_the_same(finished_run, run_task, tmp_path):
    folder = run_task(["task=evaluate", f"run={finished_run}", "evaluation.resamples=20"], tmp_path / "again")
    one, two = read(finished_run / "predictions.csv"), read(folder / "predictions.csv")
    assert one.cell_id.tolist() == two.cell_id.tolist()
    np.testing.assert_array_equal(one.score, two.score)
    first, second = (json.loads((path / "metrics.json").read_text()) for path in (finished_run, folder))
    assert first["subsets"] == second["subsets"]
    assert second["threshold_source"].startswith("frozen")


def test_other_people_are_scored_all_of_them_at_the_frozen_thresholds(finished_run, run_task, tmp_path):
    folder = run_task(
        [
            "task=evaluate",
            f"run={finished_run}",
            "dataset=synthetic",
            "dataset.seed=5",
            "dataset.infected_patients=3",
            "allow_leak=true",
            *SMALL,
        ],
        tmp_path / "other",
    )
    predictions = read(folder / "predictions.csv")
    assert predictions.subsets == ("external",)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["thresholds"] == json.loads((finished_run / "metrics.json").read_text())["thresholds"]
    assert metrics["subsets"]["external"]["counted"]["cells"] == len(predictions)
    # Drawn people of another seed have the same numbers: as patients they leak, and the report says so.
    assert metrics["leaky"] is True
    assert "LEAKY" in (folder / "report.html").read_text()


def test_shared_patients_and_images_are_listed_and_refused(finished_run, run_task, tmp_path):
    with pytest.raises(LeakError) as error:
        # More people of the same seed: those of the run are among them, to the pixel.
        run_task(
            ["task=evaluate", f"run={finished_run}", "dataset=synthetic", "dataset.infected_patients=10", *SMALL], tmp_path / "refused"
        )
    assert "patients" in str(error.value)
    assert "images" in str(error.value)
    assert "P50" in str(error.value)
    assert "allow_leak=true" in str(error.value)
    assert json.loads((tmp_path / "refused" / "status.json").read_text())["status"] == "failed"


def test_the_same_data_named_again_is_the_runs_own(finished_run, run_task, tmp_path):
    folder = run_task(
        ["task=evaluate", f"run={finished_run}", "dataset=synthetic", "dataset.infected_patients=8", *SMALL], tmp_path / "own"
    )
    assert set(read(folder / "predictions.csv").subsets) == {"val", "test"}


def test_without_a_run_it_says_what_to_give(run_task, tmp_path):
    with pytest.raises(ConfigError, match=r"run=outputs/"):
        run_task(["task=evaluate"], tmp_path / "x")


def test_a_folder_that_holds_no_run_is_named(run_task, tmp_path):
    with pytest.raises(RunFolderError, match=r"nowhere.*status\.json"):
        run_task(["task=evaluate", f"run={tmp_path / 'nowhere'}"], tmp_path / "x")


@pytest.fixture
def copy_of_run(finished_run, tmp_path):
    return shutil.copytree(finished_run, tmp_path / "copy")


def test_an_unfinished_run_is_refused(copy_of_run, run_task, tmp_path):
    status = json.loads((copy_of_run / "status.json").read_text()) | {"status": "failed", "reason": "the disk was full"}
    (copy_of_run / "status.json").write_text(json.dumps(status))
    with pytest.raises(RunFolderError, match="the disk was full"):
        run_task(["task=evaluate", f"run={copy_of_run}"], tmp_path / "x")


@pytest.mark.parametrize("name", ["metrics.json", "model.json", "provenance.json", "config.yaml", "split.csv", "model.keras"])
def test_a_missing_file_is_named(copy_of_run, run_task, tmp_path, name):
    (copy_of_run / name).unlink()
    with pytest.raises((RunFolderError, DataError), match=name.replace(".", r"\.")):
        run_task(["task=evaluate", f"run={copy_of_run}"], tmp_path / "x")


@pytest.mark.parametrize("name", ["metrics.json", "model.json", "model.keras"])
def test_a_damaged_file_is_named(copy_of_run, run_task, tmp_path, name):
    path = copy_of_run / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises((RunFolderError, ConfigError), match=name.replace(".", r"\.")):
        run_task(["task=evaluate", f"run={copy_of_run}"], tmp_path / "x")


@pytest.mark.parametrize("text", ["{", "- a\n- list\n", "dataset: [\n"])
def test_a_configuration_that_is_none_is_named(copy_of_run, run_task, tmp_path, text):
    (copy_of_run / "config.yaml").write_text(text)
    with pytest.raises(RunFolderError, match=r"config\.yaml' cannot be read"):
        run_task(["task=evaluate", f"run={copy_of_run}"], tmp_path / "x")


def test_a_changed_split_is_noticed(copy_of_run, run_task, tmp_path):
    text = (copy_of_run / "split.csv").read_text()
    (copy_of_run / "split.csv").write_text(text.replace(",test\n", ",train\n", 1))
    with pytest.raises(RunFolderError, match="hash"):
        run_task(["task=evaluate", f"run={copy_of_run}"], tmp_path / "x")


def test_changed_data_is_noticed(copy_of_run, run_task, tmp_path):
    text = (copy_of_run / "config.yaml").read_text()
    (copy_of_run / "config.yaml").write_text(text.replace("healthy_patients: 3", "healthy_patients: 4"))
    with pytest.raises(DataError, match="no longer"):
        run_task(["task=evaluate", f"run={copy_of_run}"], tmp_path / "x")


def test_nothing_that_a_saved_run_names_is_imported(copy_of_run, run_task, tmp_path):
    record = json.loads((copy_of_run / "model.json").read_text())
    record["model"]["name"] = "os.system"
    (copy_of_run / "model.json").write_text(json.dumps(record))
    with pytest.raises(ConfigError, match="no option 'os.system'"):
        run_task(["task=evaluate", f"run={copy_of_run}"], tmp_path / "x")
