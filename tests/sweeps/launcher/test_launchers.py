"""Multiruns by real launchers: equal results, jobs that fail or are killed, going on, override sets. A few processes serve many properties."""

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
# Sums over other numbers of threads are other sums in their last bits.
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
JOB_THREADS = [f"hydra.job.env_set.{name}='1'" for name in ONE_THREAD]


def multirun(arguments, folder, **environment):
    """Runs run.py -m: (exit code, standard error)."""
    command = [sys.executable, str(RUN), "-m", *arguments, f"hydra.sweep.dir={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | ONE_THREAD | environment, timeout=400, check=False)
    return done.returncode, done.stderr


def states(folder):
    with (folder / "jobs.csv").open(newline="") as file:
        return {int(row["job"]): row["status"] for row in csv.DictReader(file)}


def numbers(folder):
    """What a run found, without what differs from run to run by nature."""
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["training"].pop("train_seconds")
    history = [line.rsplit(",", 2)[0] for line in (folder / "history.csv").read_text().splitlines()]
    return metrics, history


@pytest.fixture(scope="module")
def quick(tiny_cellnet):
    # The second kind of job leaves other precision, another model and a used generator behind.
    return [*tiny_cellnet, "logger=[csv]", "trainer.epochs=1"]


OVERRIDE_SETS = """
- {seed: 1, trainer.precision: bfloat16, model.dropout: 0.3}
- {seed: abc}
- {seed: 2, trainer.precision: float32, model.dropout: 0.0}
"""


def override_sets(quick, folder, text=OVERRIDE_SETS):
    """Arguments of a multirun with these override sets, whose file is written into the folder."""
    path = folder / "override_sets.yaml"
    path.write_text(text)
    return [*(item for item in quick if not item.startswith("trainer.precision")), f"override_sets={path}"]


@pytest.fixture(scope="module")
def basic(quick, tmp_path_factory):
    """Three jobs one after another in one process, of which the second cannot be run: (arguments, folder, how it ended)."""
    root = tmp_path_factory.mktemp("basic")
    arguments = override_sets(quick, root)
    return arguments, root / "out", multirun(arguments, root / "out")


def test_override_sets_are_jobs_and_one_that_fails_stops_no_other(basic):
    _, folder, (code, told) = basic
    assert code != 0
    assert "Traceback" not in told
    assert states(folder) == {0: "done", 1: "failed", 2: "done"}
    statuses = [json.loads((folder / str(number) / "status.json").read_text()) for number in range(3)]
    assert "trainer.precision=bfloat16" in statuses[0]["overrides"]
    assert "seed: expected a whole number" in statuses[1]["reason"]
    assert not any("override_sets=" in override for status in statuses for override in status["overrides"])
    assert "1 of 3 jobs did not end well; the same command with resume=true runs only those" in told


def test_a_second_multirun_never_mixes_with_the_first_and_resume_runs_what_is_left(basic):
    arguments, folder, _ = basic
    code, told = multirun(arguments, folder)
    assert code == 2
    assert "holds a multirun already. The same command with resume=true" in told
    before = (folder / "0" / "status.json").read_text()
    code, told = multirun([*arguments, "resume=true", "hydra/launcher=submitit_local"], folder)
    assert code != 0
    assert "2 of 3 jobs" in told
    assert (folder / "0" / "status.json").read_text() == before
    assert (folder / "earlier" / "1-1" / "status.json").is_file()
    assert states(folder) == {0: "done", 1: "failed", 2: "done"}


def kill_when(folder, job, times):
    """Kills the process of a job as soon as it trains, so many times."""
    killed = []

    def watch():
        end = time.monotonic() + 300
        while len(killed) < times and time.monotonic() < end:
            time.sleep(0.02)
            try:
                status = json.loads((folder / str(job) / "status.json").read_text())
            except (OSError, ValueError):
                continue
            if status["status"] == "running" and status["pid"] not in killed:
                os.kill(status["pid"], signal.SIGKILL)
                killed.append(status["pid"])

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_with_joblib_jobs_find_the_same_and_a_worker_that_is_killed_fails_its_own_job_alone(basic, quick, tmp_path):
    folder = tmp_path / "out"
    arguments = override_sets(quick, tmp_path, OVERRIDE_SETS + "- {seed: 3}\n")
    # Killed again when it is run alone: it is this job's own fault.
    killer = kill_when(folder, 3, times=2)
    code, told = multirun([*arguments, "hydra/launcher=joblib", *JOB_THREADS], folder, PYTHONWARNINGS="error::UserWarning")
    killer.join()
    assert code == 1
    assert "Traceback" not in told
    assert states(folder) == {0: "done", 1: "failed", 2: "done", 3: "failed"}
    assert "its process ended without a word" in json.loads((folder / "3" / "status.json").read_text())["reason"]
    assert "are run once more, alone" in told
    # Job 2 came after job 0 in the one process of the basic launcher; here each is the first of its own.
    for number in (0, 2):
        assert numbers(folder / str(number)) == numbers(basic[1] / str(number))
    assert "job 0     began: " in told
    assert "job 0     done, objective" in told
    assert "job 1     failed: seed: expected a whole number" in told
    # What the jobs say otherwise stands in their own logs.
    assert "report" not in told
    assert "trained" in (folder / "0" / "run.log").read_text()


def test_ray_begins_a_job_again_whose_worker_was_killed(quick, basic, tmp_path):
    pytest.importorskip("ray")
    folder = tmp_path / "out"
    ray = ["hydra/launcher=ray", "hydra.launcher.address=local"]
    killer = kill_when(folder, 2, times=1)
    code, told = multirun([*override_sets(quick, tmp_path), *ray, *JOB_THREADS], folder)
    killer.join()
    assert code == 1
    assert "Traceback" not in told
    assert "3 of 3 jobs have ended" in told
    assert states(folder) == {0: "done", 1: "failed", 2: "done"}
    assert json.loads((folder / "earlier" / "2-1" / "status.json").read_text())["status"] == "running"
    for number in (0, 2):
        assert numbers(folder / str(number)) == numbers(basic[1] / str(number))


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


@pytest.fixture
def call_main(monkeypatch, capsys, tmp_path):
    """Calls the program in this process: (exit code, standard error)."""
    from malaria_exp import main

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", [str(RUN), *arguments])
        monkeypatch.setattr(main, "_failures", [])
        with pytest.raises(SystemExit) as ended:
            main.main()
        return ended.value.code, capsys.readouterr().err

    return call


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
        ["-m", "hydra/launcher='joblib'", "seed=abc,-1"],
        ["--multi", "hydra/launcher=joblib", "seed=abc,-1"],
        ["hydra.mode=MULTIRUN", "seed=abc,-1"],
        ["-m", "experiment=parallel", "seed=abc,-1"],
    ],
    ids=["quoted", "abbreviated", "by its mode", "in a preset"],
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
    told = multirun(["hydra/launcher=joblib", "seed=abc,-1"], tmp_path / "out", PYTHONPATH=str(tmp_path))[1]
    assert states(tmp_path / "out") == {0: "failed", 1: "failed"}
    assert "schema" not in told


@pytest.mark.parametrize("argument", ["resume=true", "override_sets=pairs.yaml"])
def test_a_single_run_has_no_use_for_them(call_main, tmp_path, argument):
    code, told = call_main(argument, f"hydra.run.dir={tmp_path / 'out'}")
    assert code == 2
    assert "-m" in told


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
