"""engine=local with a program that stands in for run.py: searches, failures, early ends, deaths, Ctrl-C and going on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sweep_file import write_sweep

from malaria_exp.sweeps.search.file import read_sweep
from malaria_exp.sweeps.search.local_engine import run_local_sweep
from malaria_exp.sweeps.search.local_study import ENDED, INTERRUPTED, open_study
from malaria_exp.sweeps.search.trials import read_trials

STAND_IN = Path(__file__).with_name("stand_in.py")
RANDOM = {"x": {"min": 0.0, "max": 1.0}, "y": {"distribution": "log_uniform_values", "min": 0.01, "max": 1.0}}


@pytest.fixture
def begin(tmp_path):
    """begin(method, parameters, **settings) -> (sweep, folder) as task=sweep prepares them; nothing is run."""

    def begin(method, parameters, *, name="sweep", **content):
        folder = tmp_path / name
        folder.mkdir()
        path = write_sweep(folder / "sweep.yaml", parameters, program=str(STAND_IN), method=method, **content)
        return read_sweep(path), folder

    return begin


def run(found, *, agents=1, trials=None, seed=0):
    sweep, folder = found
    run_local_sweep(sweep, folder, agents=agents, trials=trials, seed=seed, overrides=[])
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
    assert reasons["fail"] == "it was told to" and "exit code 7" in reasons["die"]
    assert reasons["blank"] == "val_auc was never a finite number"


@pytest.mark.long
def test_equal_seeds_suggest_the_same_however_often_the_search_is_stopped(begin):
    whole = run(begin("bayes", RANDOM), trials=12)
    # The trials before bayes knows anything are random ones; those after them depend on all results.
    sweep, folder = begin("bayes", RANDOM, name="parts")
    run((sweep, folder), trials=5)
    assert [trial.values for trial in run((sweep, folder), trials=12)] == [trial.values for trial in whole]
    others = run(begin("bayes", RANDOM, name="other"), seed=1, trials=1)
    assert others[0].values != whole[0].values


def test_two_agents_draw_the_random_values_that_one_draws(begin):
    one = run(begin("random", RANDOM, name="one"), trials=4)
    two = run(begin("random", RANDOM, name="two"), agents=2, trials=4)
    assert len(two) == 4
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
run_local_sweep(read_sweep(folder / "sweep.yaml"), folder, agents=2, trials=None, seed=0, overrides=[])
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
    """A grid of six trials of a second and a half, two of them under way, by a search in a process of its own."""
    parameters = {"x": {"values": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]}, "epochs": {"value": 3}, "seconds": {"value": 0.5}}
    sweep, folder = begin("grid", parameters)
    engine = start_engine(folder)
    wait_until(lambda: len(list((folder / "trials").glob("*/history.csv"))) >= 2)
    yield sweep, folder, engine
    engine.kill()
    engine.communicate()


needs_proc = pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")


def goes_on(sweep, folder, in_place=0):
    """A search that was stopped has left no process, and its trials come again, some in their own folders; returns all of them."""
    wait_until(lambda: not processes_of(folder))
    # By the study, as a trial may have been chosen whose folder was not there yet.
    trials = open_study(sweep, folder, 0).trials
    under_way = [trial for trial in trials if trial.state.name == "RUNNING" or trial.user_attrs.get(ENDED) == INTERRUPTED]
    assert under_way
    after = run((sweep, folder), agents=2)
    assert len(after) == 6 + len(under_way) - in_place
    return after


@needs_proc
def test_a_trial_whose_supervisor_is_killed_has_failed_and_ctrl_c_stops_the_others(slow):
    sweep, folder, engine = slow
    os.kill(open_study(sweep, folder, 0).trials[0].user_attrs["process"], signal.SIGKILL)
    wait_until(lambda: (folder / "trials" / "2" / "history.csv").is_file())
    engine.send_signal(signal.SIGINT)
    _, told = engine.communicate(timeout=60)
    assert "trial 0   failed" in told
    after = goes_on(sweep, folder)
    assert after[0].status == "failed" and "its process ended with exit code -9" in after[0].reason
    assert sorted(trial.values["x"] for trial in after if trial.status == "done") == [0.2, 0.3, 0.4, 0.5, 0.6]


@needs_proc
def test_the_supervisors_notice_that_a_search_was_killed(slow):
    sweep, folder, engine = slow
    engine.kill()
    wait_until(lambda: not processes_of(folder))
    (cut_off, *_) = [trial for trial in read_trials(folder, sweep.metric) if trial.status == "interrupted"]
    (cut_off.path / "resume").mkdir()
    (cut_off.path / "resume" / "step-000000007.npz").touch()
    after = goes_on(sweep, folder, in_place=1)
    # The trial with a checkpoint goes on in its folder, which has the number of the new trial.
    assert not cut_off.path.exists()
    assert len(list((folder / "trials").glob("*/resume/*.npz"))) == 1
    assert sorted(trial.values["x"] for trial in after if trial.status == "done") == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
