"""task=resume: a run that was cut off ends as a run that nobody touched, and what must not go on is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from conftest import TINY_CELLNET, WITH_DETECTOR, compose_app
from filelock import FileLock

from malaria_exp.config.registry import build
from malaria_exp.config.run_files import RESUME
from malaria_exp.runs import pipeline
from malaria_exp.runs.read_files import read_history
from malaria_exp.runs.run_folder import LOCK, has_checkpoint
from malaria_exp.training.session import Session
from malaria_exp.utils.atomic_files import write_json
from malaria_exp.utils.errors import ConfigError, RunFolderError

OVERRIDES = [*WITH_DETECTOR, *TINY_CELLNET, "trainer.epochs=2"]


@pytest.fixture(scope="module")
def killed(run_task, tmp_path_factory):
    """The folder of a run as the finished one, killed after five steps; its last checkpoint is of the fourth."""
    begin_step = Session.begin_step

    def kill(self, number):
        if self.progress.steps == 5:
            raise KeyboardInterrupt
        begin_step(self, number)

    folder = tmp_path_factory.mktemp("killed") / "run"
    with mock.patch.object(Session, "begin_step", kill), pytest.raises(KeyboardInterrupt):
        run_task([*OVERRIDES, "trainer.checkpoint='2 steps'"], folder)
    return folder


@pytest.fixture
def cut_off(killed, tmp_path):
    """A copy of that folder."""
    return Path(shutil.copytree(killed, tmp_path / "cut"))


def resume(run_task, folder, *more):
    run_task(["task=resume", f"run={folder}", *more], folder.parent / "not used")


def check_same(one, two):
    for name in ("predictions.csv", "split.csv"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    rows = [read_history(folder / "history.csv") for folder in (one, two)]
    for first, second in zip(*rows, strict=True):
        np.testing.assert_equal(*({key: row[key] for key in row if key not in ("seconds", "cells_per_second")} for row in (first, second)))
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in (one, two)]
    for one_of_two in metrics:
        del one_of_two["training"]["train_seconds"]
    assert metrics[0] == metrics[1]


def test_a_run_that_was_cut_off_ends_as_its_twin(run_task, cut_off, finished_run):
    folder = cut_off
    begun = json.loads((folder / "status.json").read_text())
    assert begun["status"] == "interrupted"
    assert has_checkpoint(folder)
    # As kill -9 leaves it: half a line, a status that was never mended, and a file that nobody locks any more.
    (folder / LOCK).touch()
    with (folder / "history.csv").open("a") as file:
        file.write("2,0.6931")
    write_json(folder / "status.json", begun | {"status": "running", "pid": 1, "host": "here"})
    resume(run_task, folder)
    check_same(folder, finished_run)
    status = json.loads((folder / "status.json").read_text())
    assert (status["status"], status["overrides"], status["started"]) == ("done", begun["overrides"], begun["started"])
    assert [one["from"] for one in json.loads((folder / "provenance.json").read_text())["resumed"]] == ["step 4 of epoch 1"]
    left = {path.name for path in folder.iterdir()}
    assert left == {path.name for path in finished_run.iterdir()}


def test_what_has_changed_is_named_and_refused_unless_forced(run_task, cut_off, finished_run, caplog):
    folder = cut_off
    # Without a checkpoint, it begins anew in its folder.
    shutil.rmtree(folder / RESUME)
    record = json.loads((folder / "provenance.json").read_text())
    write_json(
        folder / "provenance.json", record | {"python": "3.10.0", "machine": record["machine"] | {"cores": 999}, "data_hash": "other"}
    )
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(RunFolderError, match=r"(?s)python: 3\.10\.0, now .*machine\.cores: 999, now .*task\.force=true"):
        resume(run_task, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    with caplog.at_level("WARNING", "malaria_exp"):
        resume(run_task, folder, "task.force=true")
    assert "data_hash: other, now" in caplog.text
    check_same(folder, finished_run)


def test_what_cannot_go_on(run_task, cut_off, finished_run):
    for folder, said in ((cut_off / "nowhere", "is no run folder"), (cut_off / "plots", "was cut off before it began")):
        if said.endswith("began"):
            folder.mkdir()
            (folder / "status.json").touch()
        with pytest.raises(RunFolderError, match=said):
            resume(run_task, folder)
    with pytest.raises(RunFolderError, match="is finished.*nothing left"):
        resume(run_task, finished_run)
    with pytest.raises(ConfigError, match=r"trainer.epochs: task=resume goes on with the run's own configuration"):
        resume(run_task, finished_run, "trainer.epochs=9")
    folder = cut_off
    status = json.loads((folder / "status.json").read_text())
    write_json(folder / "status.json", status | {"status": "running"})
    with FileLock(folder / LOCK), pytest.raises(RunFolderError, match="still running"):
        resume(run_task, folder)
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(text.replace("plugins: []", "plugins:\n- evil"))
    with pytest.raises(ConfigError, match=r"uses evil. Name them again: plugins=\[evil\]"):
        resume(run_task, folder)
    (folder / "config.yaml").write_text(text.replace("init_from: null", "init_from: 'https://x/y.h5?***'"))
    with pytest.raises(RunFolderError, match="hides what it must not show .init_from."):
        resume(run_task, folder)
    (folder / "config.yaml").write_text(text.replace("seed: 0", "seed: zero"))
    with pytest.raises(RunFolderError, match="config.yaml': seed: expected a whole number"):
        resume(run_task, folder)


@pytest.mark.parametrize("edited", [False, True])
def test_a_multiruns_job_goes_on_unless_its_configuration_was_edited(cut_off, monkeypatch, caplog, edited):
    seen = []
    monkeypatch.setattr(
        pipeline, "train_and_evaluate", lambda config, folder, overrides, found: seen.append(found) or mock.Mock(objective=0.5)
    )
    folder = cut_off.rename(cut_off.with_name("3"))
    app = compose_app([*OVERRIDES, f"trainer.checkpoint='{3 if edited else 2} steps'"], folder)
    with pytest.raises(RunFolderError, match="already holds files"):
        build("task", "train", {}, app)
    assert build("task", "train", {}, replace(app, may_resume=True)) == 0.5
    assert [found and found.checkpoint.progress.steps for found in seen] == [None if edited else 4]
    assert (folder.parent / "earlier" / "3-1" / "history.csv").exists() == edited
    assert ("its configuration was edited since" in caplog.text) == edited
