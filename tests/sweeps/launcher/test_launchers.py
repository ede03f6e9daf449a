"""Multiruns by real launchers: jobs that fail or are killed, going on, override sets.

The jobs are of a task that takes no time; that trainings give the same numbers by every launcher: benchmarks/same_numbers.py.
"""

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from conftest import ROOT
from omegaconf import OmegaConf

RUN = ROOT / "run.py"
QUICK = '''
import time
from typing import Literal

from malaria_exp.config.registry import register
from malaria_exp.runs.run_folder import claim_run
from malaria_exp.utils.terminal_log import log


@register("task", "quick")
def quick(app, /, *, holds: Literal["never", "once", "always"] = "never"):
    """Ends at once, or holds still until its process is killed."""
    with claim_run(app.output_dir, config_text=app.config_text, overrides=app.overrides, task="train") as folder:
        log.info("at work")
        while holds == "always" or (holds == "once" and not (app.output_dir.parent / "earlier").exists()):
            time.sleep(0.02)
        folder.facts["objective"] = app.config.seed
    return app.config.seed
'''
OVERRIDE_SETS = "- {seed: 1}\n- {seed: abc}\n- {seed: 2}\n"


def multirun(arguments, folder, sets=None, **environment):
    """Runs run.py -m of the quick task, for override sets if they are given: (exit code, standard error)."""
    folder.parent.mkdir(exist_ok=True)
    (folder.parent / "quick.py").write_text(QUICK)
    if sets:
        (folder.parent / "sets.yaml").write_text(sets)
        arguments = ["override_sets=sets.yaml", *arguments]
    command = [sys.executable, str(RUN), "-m", "plugins=[quick]", "task=quick", *arguments, f"hydra.sweep.dir={folder}"]
    done = subprocess.run(
        command, cwd=folder.parent, capture_output=True, text=True, env=os.environ | environment, timeout=200, check=False
    )
    return done.returncode, done.stderr


def states(folder):
    with (folder / "jobs.csv").open(newline="") as file:
        return {int(row["job"]): row["status"] for row in csv.DictReader(file)}


def status_of(folder, job):
    return json.loads((folder / str(job) / "status.json").read_text())


@pytest.fixture(scope="module")
def basic(tmp_path_factory):
    """Three jobs one after another in one process, of which the second cannot be run: (folder, how it ended)."""
    folder = tmp_path_factory.mktemp("basic") / "out"
    return folder, multirun([], folder, OVERRIDE_SETS)


def test_override_sets_are_jobs_and_one_that_fails_stops_no_other(basic):
    folder, (code, told) = basic
    assert code != 0
    assert "Traceback" not in told
    assert states(folder) == {0: "done", 1: "failed", 2: "done"}
    statuses = [status_of(folder, number) for number in range(3)]
    assert "seed=1" in statuses[0]["overrides"] and "seed: expected a whole number" in statuses[1]["reason"]
    assert not any("override_sets=" in override for status in statuses for override in status["overrides"])
    assert f"job 1 failed: {statuses[1]['reason']}" in told[told.index("3 jobs in") :]
    assert "1 of 3 jobs did not end well; the same command with resume=true runs only those" in told


def test_a_second_multirun_never_mixes_with_the_first_and_resume_runs_what_is_left(basic):
    folder, _ = basic
    code, told = multirun([], folder, OVERRIDE_SETS)
    assert code == 2
    assert "holds a multirun already. The same command with resume=true" in told
    before = (folder / "0" / "status.json").read_text()
    code, told = multirun(["resume=true", "hydra/launcher=submitit_local"], folder, OVERRIDE_SETS)
    assert code != 0
    assert "2 of 3 jobs" in told
    assert (folder / "0" / "status.json").read_text() == before
    assert (folder / "earlier" / "1-1" / "status.json").is_file()
    assert states(folder) == {0: "done", 1: "failed", 2: "done"}


def kill_when(folder, job, times):
    """Kills the process of a job as soon as it is at work, so many times."""
    killed = []

    def watch():
        end = time.monotonic() + 150
        while len(killed) < times and time.monotonic() < end:
            time.sleep(0.02)
            try:
                status = status_of(folder, job)
            except (OSError, ValueError):
                continue
            if status["status"] == "running" and status["pid"] not in killed:
                os.kill(status["pid"], signal.SIGKILL)
                killed.append(status["pid"])

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


@pytest.mark.long
def test_with_joblib_a_worker_that_is_killed_fails_its_own_job_alone(tmp_path):
    folder = tmp_path / "out"
    # Killed again when it is run alone: it is this job's own fault.
    killer = kill_when(folder, 3, times=2)
    sets = OVERRIDE_SETS + "- {seed: 3, task.holds: always}\n"
    code, told = multirun(["hydra/launcher=joblib"], folder, sets, PYTHONWARNINGS="error::UserWarning")
    killer.join()
    assert code == 1
    assert "Traceback" not in told
    assert states(folder) == {0: "done", 1: "failed", 2: "done", 3: "failed"}
    assert "its process ended without a word" in status_of(folder, 3)["reason"]
    assert "are run once more, alone" in told and "job 0     began: " in told and "job 0     done, objective" in told
    assert "job 1     failed: seed: expected a whole number" in told
    # What the jobs say otherwise stands in their own logs.
    assert "at work" not in told
    assert "at work" in (folder / "0" / "run.log").read_text()


@pytest.mark.long
def test_ray_begins_a_job_again_whose_worker_was_killed(tmp_path):
    pytest.importorskip("ray")
    folder = tmp_path / "out"
    killer = kill_when(folder, 1, times=1)
    sets = "- {seed: abc}\n- {seed: 2, task.holds: once}\n"
    code, told = multirun(["hydra/launcher=ray", "hydra.launcher.address=local"], folder, sets)
    killer.join()
    assert code == 1
    assert "Traceback" not in told and "2 of 2 jobs have ended" in told
    assert states(folder) == {0: "failed", 1: "done"}
    assert json.loads((folder / "earlier" / "1-1" / "status.json").read_text())["status"] == "running"


def test_a_ray_cluster_that_is_not_there_is_told_at_once(call_main, tmp_path):
    pytest.importorskip("ray")
    code, told = call_main(
        "-m", "hydra/launcher=ray", "hydra.launcher.address=127.0.0.1:1", "seed=abc", f"hydra.sweep.dir={tmp_path / 'out'}"
    )
    assert code not in (0, None)
    assert "hydra.launcher.address: received '127.0.0.1:1', but Ray cannot be reached there" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["override_sets=none.yaml"], "override_sets: 'none.yaml' does not exist"),
        (["resume=true", "seed=0,1"], "holds no multirun"),
        (["resume=perhaps"], "resume: expected true or false"),
        (["override_sets=a.yaml,b.yaml"], "override_sets: one for the whole multirun"),
        (["hydra/launcher=jobli"], "Did you mean 'joblib'"),
    ],
)
def test_mistakes_are_told_before_the_first_job(call_main, tmp_path, arguments, message):
    code, told = call_main("-m", *arguments, f"hydra.sweep.dir={tmp_path / 'out'}")
    assert code not in (0, None)
    assert message in told
    assert not (tmp_path / "out").exists()


def test_more_jobs_than_an_array_holds_are_several_arrays_and_none_is_left_when_one_is_refused(monkeypatch):
    submitit = pytest.importorskip("submitit")
    from malaria_exp.sweeps.launcher.submitit import SubmititLauncher
    from malaria_exp.utils.errors import ConfigError

    arrays, canceled = [], []

    class Sent:
        job_id = "1"

        def done(self):
            return True

        def cancel(self):
            canceled.append(self)

    class Executor:
        def __init__(self, **_):
            pass

        def update_parameters(self, **_):
            pass

        def map_array(self, _, jobs):
            if len(arrays) == 3:
                raise submitit.core.utils.FailedSubmissionError("no more")
            arrays.append(len(jobs))
            return [Sent() for _ in jobs]

    monkeypatch.setattr(submitit, "AutoExecutor", Executor)
    launcher = SubmititLauncher("slurm", "%j", array_size=2)
    launcher.setup(hydra_context=None, task_function=None, config=OmegaConf.create({"hydra": {"launcher": {"submitit_folder": "a/%j"}}}))
    assert launcher.launch([["seed=0"]] * 5, 0) == []
    assert arrays == [2, 2, 1] and not canceled
    arrays[:] = [0]
    with pytest.raises(ConfigError, match="cannot send the jobs: no more"):
        launcher.launch([["seed=0"]] * 5, 0)
    assert arrays == [0, 2, 2] and len(canceled) == 4
    with pytest.raises(ConfigError, match=r"hydra\.launcher\.array_size"):
        SubmititLauncher("slurm", "%j", array_size=0)


def test_without_its_package_a_launcher_names_the_extra(call_main, tmp_path, monkeypatch):
    from malaria_exp.sweeps.launcher import process_launcher

    monkeypatch.setattr(process_launcher, "find_spec", lambda name: None)
    code, told = call_main("-m", "hydra/launcher=submitit_slurm", "seed=0,1", f"hydra.sweep.dir={tmp_path / 'out'}")
    assert code == 2
    assert "pip install 'malaria_exp[submitit]'" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--multi", "hydra/launcher='joblib'", "seed=abc,-1"],
        ["hydra.mode=MULTIRUN", "seed=abc,-1"],
        ["-m", "experiment=parallel", "seed=abc,-1"],
    ],
    ids=["abbreviated and quoted", "by its mode", "in a preset"],
)
def test_a_multirun_and_its_launcher_are_known_however_they_are_spelled(call_main, tmp_path, arguments):
    preset = tmp_path / "presets" / "experiment" / "parallel.yaml"
    preset.parent.mkdir(parents=True)
    preset.write_text("# @package _global_\ndefaults:\n  - override /hydra/launcher: joblib\n")
    call_main(*arguments, f"hydra.searchpath=[file://{tmp_path / 'presets'}]", f"hydra.sweep.dir={tmp_path / 'out'}")
    assert states(tmp_path / "out") == {0: "failed", 1: "failed"}


def test_a_launcher_of_the_same_name_elsewhere_changes_nothing(tmp_path):
    """As if hydra-joblib-launcher were installed, whose schema knows other options."""
    package = tmp_path / "hydra_plugins" / "other_joblib"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "from dataclasses import dataclass\nfrom hydra.core.config_store import ConfigStore\n"
        "@dataclass\nclass Schema:\n    _target_: str = 'other'\n    backend: str = 'loky'\n"
        "ConfigStore.instance().store(group='hydra/launcher', name='joblib', node=Schema, provider='other')\n"
    )
    told = multirun(["hydra/launcher=joblib", "hydra.launcher.n_jobs=1", "seed=abc,-1"], tmp_path / "out", PYTHONPATH=str(tmp_path))[1]
    assert states(tmp_path / "out") == {0: "failed", 1: "failed"}
    assert "schema" not in told


def test_without_a_name_the_newest_multirun_of_the_command_goes_on_where_it_is(call_main, tmp_path, monkeypatch):
    outputs = tmp_path / "it's ours"
    monkeypatch.setenv("MALARIA_EXP_OUTPUTS", str(outputs))
    # Neither job can be run, so no TensorFlow is loaded.
    command = ["-m", "seed=abc,-1"]
    call_main(*command)
    (began,) = outputs.iterdir()
    call_main(*command, "resume=true")
    assert list(outputs.iterdir()) == [began]
    assert states(began) == {0: "failed", 1: "failed"}
    assert sorted(path.name for path in (began / "earlier").iterdir()) == ["0-1", "1-1"]


def test_what_was_typed_stands_in_the_record_as_it_was_typed(call_main, tmp_path):
    typed = ["split.seed=${seed}", "+note='a, b'", "~plugins"]
    call_main("-m", "seed=abc,-1", *typed, f"hydra.sweep.dir={tmp_path / 'out'}")
    record = json.loads((tmp_path / "out" / "multirun.json").read_text())
    assert record["jobs"] == [[f"seed={seed}", *typed] for seed in ("abc", "-1")]
