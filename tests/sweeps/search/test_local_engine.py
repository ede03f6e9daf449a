"""engine=local with a program that stands in for run.py: searches, failures, early ends, deaths, Ctrl-C and going on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from malaria_exp.sweeps.search import local_agent
from malaria_exp.sweeps.search.file import read_sweep
from malaria_exp.sweeps.search.local_engine import run_local_sweep
from malaria_exp.sweeps.search.local_study import open_study
from malaria_exp.sweeps.search.trials import read_trials
from malaria_exp.utils.errors import RunFolderError

STAND_IN = Path(__file__).with_name("stand_in.py")
RANDOM = {"x": {"min": 0.0, "max": 1.0}, "y": {"distribution": "log_uniform_values", "min": 0.01, "max": 1.0}}


@pytest.fixture
def begin(tmp_path):
    """begin(method, parameters, **settings) -> (sweep, folder) as task=sweep prepares them; nothing is run."""

    def begin(method, parameters, *, name="sweep", seed=0, trials=None, **content):
        folder = tmp_path / name
        folder.mkdir()
        raw = {
            "program": str(STAND_IN),
            "method": method,
            "metric": {"name": "epoch/val_auc", "goal": "maximize"},
            "parameters": parameters,
            "command": ["${env}", "${interpreter}", "${program}", "${args_no_hyphens}"],
            **content,
        }
        (folder / local_agent.FILE).write_text(yaml.safe_dump(raw, sort_keys=False))
        (folder / local_agent.SETTINGS).write_text(json.dumps({"seed": seed, "trials": trials, "overrides": []}))
        return read_sweep(folder / local_agent.FILE), folder

    return begin


def run(found, *, agents=1, trials=None, seed=0):
    sweep, folder = found
    run_local_sweep(sweep, folder, agents=agents, trials=trials, seed=seed)
    return read_trials(folder, sweep.metric)


def test_a_grid_is_run_whole_by_two_agents_and_failures_end_nothing(begin):
    parameters = {
        "x": {"values": [0.1, 0.3]},
        "does": {"values": ["run", "fail", "die", "blank"]},
        "o": {"parameters": {"p": {"value": [1, 2]}}},
    }
    trials = run(begin("grid", parameters), agents=2)
    assert {(trial.values["x"], trial.values["does"]) for trial in trials} == {
        (x, does) for x in (0.1, 0.3) for does in ("run", "fail", "die", "blank")
    }
    assert len(trials) == 8
    assert {trial.values["does"]: trial.status for trial in trials} == {
        "run": "done",
        "fail": "failed",
        "die": "failed",
        "blank": "no number",
    }
    assert all(trial.values["o.p"] == [1, 2] for trial in trials)
    assert {trial.values["x"]: trial.objective for trial in trials if trial.status == "done"} == pytest.approx({0.1: 0.96, 0.3: 1.0})
    reasons = {trial.values["does"]: trial.reason for trial in trials}
    assert reasons["fail"] == "it was told to"
    assert "exit code 7" in reasons["die"]
    assert reasons["blank"] == "val_auc was never a finite number"


def test_equal_seeds_suggest_the_same_however_often_the_search_is_stopped(begin):
    whole = run(begin("bayes", RANDOM, trials=12), trials=12)
    # The trials before bayes knows anything are random ones; those after them depend on all results.
    sweep, folder = begin("bayes", RANDOM, name="parts", trials=5)
    run((sweep, folder), trials=5)
    (folder / local_agent.SETTINGS).write_text(json.dumps({"seed": 0, "trials": 12, "overrides": []}))
    assert [trial.values for trial in run((sweep, folder), trials=12)] == [trial.values for trial in whole]
    others = run(begin("bayes", RANDOM, name="other", seed=1, trials=3), seed=1, trials=3)
    assert others[0].values != whole[0].values


def test_two_agents_draw_the_random_values_that_one_draws(begin):
    one = run(begin("random", RANDOM, name="one", trials=6), trials=6)
    two = run(begin("random", RANDOM, name="two", trials=6), agents=2, trials=6)
    assert len(two) == 6
    assert sorted(trial.values["x"] for trial in one) == sorted(trial.values["x"] for trial in two)


def test_bad_trials_are_ended_early(begin):
    parameters = {"x": {"values": [0.3, 5.0, 6.0, 7.0]}, "epochs": {"value": 4}, "seconds": {"value": 0.4}}
    trials = run(begin("grid", parameters, early_terminate={"type": "hyperband", "min_iter": 1, "eta": 2}))
    assert [trial.status for trial in trials] == ["done", "pruned", "pruned", "pruned"]
    assert all(len(trial.history) < 4 for trial in trials[1:])
    assert trials[1].reason.startswith("one of the worse at epoch")
    # What it reached counts in the plots, but never as the best.
    assert trials[1].objective is not None


def processes_of(folder):
    """Returns the running processes whose command line names the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (entry / "cmdline").read_bytes() and int(entry.name) != os.getpid():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


ENGINE = """
import sys, signal
from pathlib import Path
from malaria_exp.utils.terminal_log import start_terminal_log
from malaria_exp.sweeps.search.file import read_sweep
from malaria_exp.sweeps.search.local_engine import run_local_sweep
signal.signal(signal.SIGTERM, signal.default_int_handler)
start_terminal_log()
folder = Path(sys.argv[1])
run_local_sweep(read_sweep(folder / "sweep.yaml"), folder, agents=2, trials=None, seed=0)
"""


def start_engine(folder):
    return subprocess.Popen([sys.executable, "-c", ENGINE, str(folder)], stderr=subprocess.PIPE, text=True)


def wait_until(holds, seconds=30):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def slow(begin):
    """A grid of six trials of a second and a half, with two under way by two agents of a process of its own."""
    parameters = {"x": {"values": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]}, "epochs": {"value": 3}, "seconds": {"value": 0.5}}
    sweep, folder = begin("grid", parameters)
    engine = start_engine(folder)
    wait_until(lambda: len(list((folder / "agents").glob("*.json"))) == 2 and len(list((folder / "trials").glob("*/history.csv"))) >= 2)
    yield sweep, folder, engine
    engine.kill()
    engine.communicate()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_search_leaves_no_process_and_goes_on(slow, number):
    sweep, folder, engine = slow
    engine.send_signal(number)
    engine.wait(30)
    # Of an engine that was killed the agents notice that it is gone.
    wait_until(lambda: not processes_of(folder))
    before = read_trials(folder, sweep.metric)
    assert {trial.status for trial in before} <= {"done", "interrupted"}
    under_way = [trial.values["x"] for trial in before if trial.status == "interrupted"]
    assert under_way
    after = run((sweep, folder), agents=2)
    done = sorted(trial.values["x"] for trial in after if trial.status == "done")
    assert done == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert len(after) == 6 + len(under_way)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_an_agent_that_is_killed_is_replaced_and_its_trial_has_failed(slow):
    sweep, folder, engine = slow
    # Two processes on one sweep would run every trial twice.
    with pytest.raises(RunFolderError, match="another process is running the sweep"):
        run((sweep, folder))
    victim = json.loads((folder / "agents" / "0.json").read_text())
    os.kill(victim["pid"], signal.SIGKILL)
    _, told = engine.communicate(timeout=60)
    assert engine.returncode == 0, told
    assert "agent 0 ended unexpectedly (exit code -9); another takes its place" in told
    trials = {int(trial.name): trial for trial in read_trials(folder, sweep.metric)}
    assert trials[victim["trial"]].status == "failed"
    assert "its agent ended with exit code -9" in trials[victim["trial"]].reason
    assert sorted(trial.status for trial in trials.values()) == ["done"] * 5 + ["failed"]
    study = open_study(sweep, folder, 0)
    assert [trial.state.name for trial in study.trials].count("FAIL") == 1
    assert not processes_of(folder)


def test_agents_that_cannot_work_end_the_search(begin):
    sweep, folder = begin("grid", {"x": {"values": [0.1, 0.2]}})
    (folder / local_agent.SETTINGS).unlink()
    with pytest.raises(RunFolderError, match="agents ended unexpectedly 6 times"):
        run((sweep, folder))
    assert "FileNotFoundError" in (folder / "agents.log").read_text()
