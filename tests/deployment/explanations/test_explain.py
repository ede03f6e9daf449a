"""task=explain, on a finished run: what it writes, that it follows from the seed, and what it refuses."""

import csv
import json
import shutil

import numpy as np
import pytest
from conftest import png_bytes
from html_page import Page

from malaria_exp.utils.errors import ConfigError, DataError, RunFolderError

FAST = ["task.errors=1", "task.doubtful=1", "task.random=2", "evaluation.resamples=20"]


@pytest.fixture(scope="module")
def explained(run_task, finished_run, tmp_path_factory):
    return run_task(
        ["task=explain", f"run={finished_run}", *FAST, "task.check=2", "task.point=4"], tmp_path_factory.mktemp("explain") / "run"
    )


def rows_of(folder):
    with (folder / "explanations.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_cells_are_the_runs_own_with_their_scores_and_every_method_has_their_maps(explained, finished_run):
    rows = rows_of(explained)
    with (finished_run / "predictions.csv").open() as file:
        scored = {row["cell_id"]: row for row in csv.DictReader(file) if row["subset"] == "test"}
    assert 3 <= len(rows) <= 5 and len({row["cell"] for row in rows}) == len(rows)
    assert all(row["score"] == scored[row["cell"]]["score"] and row["patient"] == scored[row["cell"]]["patient"] for row in rows)
    with np.load(explained / "maps.npz", allow_pickle=False) as maps:
        assert sorted(maps) == ["grad_cam", "integrated_gradients", "occlusion"]
        assert all(len(maps[name]) == len(rows) and np.isfinite(maps[name]).all() for name in maps)


def test_both_checks_are_in_numbers_and_on_the_page(explained):
    found = json.loads((explained / "explanations.json").read_text())
    stages = found["randomization"]
    assert stages[0]["layers"] == 1 and stages[-1]["layers"] > 3
    assert all(-1 <= value <= 1 for stage in stages for value in stage["spearman"].values())
    game = found["pointing_game"]
    assert 1 <= game["cells"]["value"] <= 4 and 0 < game["chance"]["value"] < 0.6
    assert all(0 <= cell["value"] <= 1 for cell in game["methods"].values())
    source = (explained / "report.html").read_text()
    text = Page(source).text
    for words in (
        "Do the maps point at parasites?",
        "Do the maps depend on what the model has learned?",
        "does not tell whether the score is right",
    ):
        assert words in text
    assert 'src="http' not in source and list((explained / "plots").glob("*.png"))


def test_given_images_are_explained_without_labels_the_same_each_time(run_task, finished_run, tmp_path):
    rng = np.random.default_rng(0)
    for number, size in enumerate([(60, 44), (33, 50)]):
        (tmp_path / f"{number}.png").write_bytes(png_bytes(rng.integers(60, 255, (*size, 3), dtype=np.uint8)))
    command = [
        "task=explain",
        f"run={finished_run}",
        f"images={tmp_path}/*.png",
        "explanation=[grad_cam,integrated_gradients]",
        "task.check=0",
    ]
    folders = [run_task(command, tmp_path / name) for name in ("a", "b")]
    assert [row["label"] for row in rows_of(folders[0])] == ["", ""]
    assert (folders[0] / "explanations.csv").read_bytes() == (folders[1] / "explanations.csv").read_bytes()
    assert json.loads((folders[0] / "explanations.json").read_text())["pointing_game"] is None


def test_the_page_of_new_images_has_maps_by_another_method(run_task, finished_run, tmp_path):
    (tmp_path / "cell.png").write_bytes(png_bytes(np.random.default_rng(0).integers(60, 255, (40, 40, 3), dtype=np.uint8)))
    command = ["task=predict", f"run={finished_run}", f"images={tmp_path}/cell.png", "task.explain=1", "task.method=integrated_gradients"]
    page = (run_task(command, tmp_path / "out") / "report.html").read_text()
    assert "Integrated gradients change the cell" in page and "the map of what speaks" in page


def test_what_cannot_be_explained_is_one_message(run_task, finished_run, tmp_path):
    for overrides, error, words in (
        ([], ConfigError, "run: missing"),
        ([f"run={finished_run}", "explanation=[]"], ConfigError, "no method is chosen"),
        ([f"run={finished_run}", "task.errors=0", "task.doubtful=0", "task.random=0"], ConfigError, "give one of them at least 1"),
        ([f"run={tmp_path}"], RunFolderError, "run: "),
        ([f"run={finished_run}", f"images={tmp_path}/bad.png"], DataError, "images: "),
    ):
        (tmp_path / "bad.png").write_bytes(b"none")
        with pytest.raises(error, match=words):
            run_task(["task=explain", *overrides], tmp_path / f"refused-{words[:3]}-{len(overrides)}")


def test_data_that_has_changed_is_refused(run_task, finished_run, tmp_path):
    copy = shutil.copytree(finished_run, tmp_path / "run")
    config = (copy / "config.yaml").read_text()
    (copy / "config.yaml").write_text(config.replace("cell_size: 40", "cell_size: 41"))
    with pytest.raises(DataError, match="no longer what"):
        run_task(["task=explain", f"run={copy}", *FAST, "task.check=0", "task.point=0", "explanation=[grad_cam]"], tmp_path / "out")
