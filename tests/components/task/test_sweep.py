"""task=sweep: what is refused before the first trial, what goes to every trial, going on, and what is left at the end."""

import csv
import json
import re
import shlex

import pytest
from conftest import ROOT
from sweep_file import write_sweep

from malaria_exp.sweeps.sealed_jobs import SEAL
from malaria_exp.sweeps.search.sweep_run import SETTINGS, find_sweep
from malaria_exp.utils.errors import ConfigError, RunFolderError

STAND_IN = ROOT / "tests" / "sweeps" / "search" / "stand_in.py"


@pytest.mark.parametrize(
    ("overrides", "content", "message"),
    [
        (["file=null"], {}, "file: task=sweep needs a sweep's file"),
        ([], {"method": "random"}, "a random search has no end of its own"),
        (["task.agents=0"], {}, "task.agents: expected a whole number >= 1"),
    ],
)
def test_what_is_missing_is_told(run_task, tmp_path, overrides, content, message):
    path = write_sweep(tmp_path / "x.yaml", {"x": {"values": [1]}}, **content)
    with pytest.raises(ConfigError, match=re.escape(message)):
        run_task(["task=sweep", f"file={path}", *overrides], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_optuna_the_error_names_the_extra(run_task, tmp_path, monkeypatch):
    path = write_sweep(tmp_path / "x.yaml", {"x": {"values": [1]}})
    monkeypatch.setattr("malaria_exp.sweeps.search.local_study.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=re.escape("pip install 'malaria_exp[sweeps]'")):
        run_task(["task=sweep", f"file={path}"], tmp_path / "out")


@pytest.fixture(scope="module")
def swept(run_task, tmp_path_factory):
    """A finished grid of stand-in trials, and its file."""
    root = tmp_path_factory.mktemp("swept")
    parameters = {"x": {"values": [0.0, 0.25, 0.5, 1.0]}, "does": {"values": ["run", "fail"]}, "epochs": {"value": 3}}
    path = write_sweep(root / "find x.yaml", parameters, program=str(STAND_IN), name="find <x>")
    return run_task(["task=sweep", f"file='{path}'", "seed=5"], root / "out" / "first"), path


def test_the_best_is_a_command_to_paste(swept):
    folder, _ = swept
    best = json.loads((folder / "best.json").read_text())
    assert best["values"] == {"x": 0.25, "does": "run", "epochs": 3} and best["val_auc"] == pytest.approx(1 - 0.05**2)
    assert shlex.split(best["command"]) == ["python", str(STAND_IN), "seed=5", "x=0.25", "does=run", "epochs=3"]
    status = json.loads((folder / "status.json").read_text())
    assert status["status"] == "done" and status["objective"] == best["val_auc"]
    assert status["trials"] == {"done": 4, "failed": 4}


def test_the_table_has_every_trial_the_best_first_and_no_test_result(swept):
    folder, _ = swept
    with (folder / "leaderboard.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["x"] for row in rows[:4]] == ["0.25", "0.5", "0.0", "1.0"]
    assert [row["status"] for row in rows] == ["done"] * 4 + ["failed"] * 4
    assert {row["reason"] for row in rows[4:]} == {"it was told to"}
    assert not [name for name in rows[0] if "test" in name]


def test_the_page_shows_what_was_found_and_escapes_everything(swept):
    folder, _ = swept
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "Sweep find &lt;x&gt;" in text and "<x>" not in text
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", text)
    assert text.count("data:image/png;base64,") == 3 and "it was told to" in text and "one of 0, 0.25, 0.5, 1" in text
    assert {path.stem for path in (folder / "plots").iterdir()} == {"course", "parallel", "slices"}


def test_trials_leave_their_test_subsets_sealed_and_the_best_ones_is_opened_by_a_command(run_task, tmp_path):
    program = tmp_path / "run.py"
    program.write_bytes(STAND_IN.read_bytes())
    path = write_sweep(tmp_path / "x.yaml", {"x": {"values": [0.25, 0.5]}}, program=str(program))
    folder = run_task(["task=sweep", f"file={path}", "seed=5"], tmp_path / "out" / "sealed")
    overrides = [json.loads((folder / "trials" / name / "status.json").read_text())["overrides"] for name in "01"]
    assert overrides == [["seed=5", SEAL, "x=0.25"], ["seed=5", SEAL, "x=0.5"]]
    best = json.loads((folder / "best.json").read_text())
    # Once they are chosen, the settings are trained and tested.
    assert shlex.split(best["command"]) == ["python", str(program), "seed=5", "x=0.25"]
    assert shlex.split(best["evaluate"]) == ["python", str(program), "task=evaluate", f"run={folder / 'trials' / '0'}"]
    assert "task=evaluate" in (folder / "report.html").read_text()
    # The search that goes on is found by what was typed.
    run_task(["task=sweep", f"file={path}", "seed=5", "resume=true"], tmp_path / "out" / "again")
    for more in (["evaluation.test=true"], ["evaluation.test=false"]):
        opened = run_task(["task=sweep", f"file={path}", *more], tmp_path / "out" / more[0])
        assert json.loads((opened / "trials" / "0" / "status.json").read_text())["overrides"] == ["seed=0", *more, "x=0.25"][1:]


def test_a_finished_sweep_that_goes_on_runs_nothing_again(swept, run_task):
    folder, path = swept
    before = sorted(item.name for item in (folder / "trials").iterdir())
    where = folder.parent / "second"
    run_task(["task=sweep", f"file='{path}'", "seed=5", "resume=true"], where)
    assert sorted(item.name for item in (folder / "trials").iterdir()) == before
    assert not where.exists()
    assert json.loads((folder / "status.json").read_text())["trials"] == {"done": 4, "failed": 4}


def test_only_the_same_sweep_goes_on(swept, tmp_path):
    folder, _ = swept
    settings = json.loads((folder / SETTINGS).read_text())
    mine = {key: settings[key] for key in ("file", "hash", "engine", "seed", "overrides")}
    assert find_sweep(folder.parent / "new", mine) == folder
    # The file may have moved; what stands in it counts.
    assert find_sweep(folder.parent / "new", mine | {"file": "elsewhere.yaml"}) == folder
    for change in ({"hash": "0"}, {"seed": 6}, {"overrides": ["a=1"]}, {"engine": "wandb"}):
        with pytest.raises(RunFolderError, match="no earlier sweep of this file"):
            find_sweep(folder.parent / "new", mine | change)
        with pytest.raises(RunFolderError, match=f"holds a sweep of another {next(iter(change))}"):
            find_sweep(folder, mine | change)


def test_when_every_trial_fails_the_reasons_are_told(run_task, tmp_path):
    path = write_sweep(tmp_path / "x.yaml", {"does": {"values": ["fail", "blank"]}}, program=str(STAND_IN))
    with pytest.raises(RunFolderError, match="none of 2 trials ran to its end") as caught:
        run_task(["task=sweep", f"file={path}"], tmp_path / "out")
    assert "it was told to" in str(caught.value) and "never a finite number" in str(caught.value)
    status = json.loads((tmp_path / "out" / "status.json").read_text())
    assert status["status"] == "failed"
    assert (tmp_path / "out" / "leaderboard.csv").is_file()
    assert "No trial ran to its end" in (tmp_path / "out" / "report.html").read_text()
