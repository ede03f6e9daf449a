"""engine=wandb with the real client and its real agents, against a stand-in for the server; trials are a tiny program, but for one."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from conftest import ROOT
from wandb_server import KEY, WandbServer

from malaria_exp.sweeps.search import processes, wandb_engine, wandb_watch
from malaria_exp.sweeps.search.file import read_sweep
from malaria_exp.sweeps.search.trials import read_trials
from malaria_exp.sweeps.search.wandb_agents import Agent
from malaria_exp.sweeps.search.wandb_create import Created
from malaria_exp.utils.errors import ConfigError, DataError, RunFolderError
from malaria_exp.utils.terminal_log import log

pytest.importorskip("wandb")

# A trial that says of itself what run.py says, and needs no TensorFlow. `seconds` is how long it trains; a negative one fails. With auc 0
# it does not even begin, with 0.5 it is killed, with 0.3 it is tracked.
TRIAL = """
import os, signal, sys, time
from pathlib import Path
from malaria_exp.runs.run_folder import claim_run
from malaria_exp.sweeps.search.arguments import from_agent
from malaria_exp.sweeps.search.trials import read_values

def track(folder):
    import wandb
    from malaria_exp.tracking.logger_interface import Run
    from malaria_exp.tracking.wandb_settings import choose_mode
    from malaria_exp.components.logger.wandb import WandbLogger

    about = dict.fromkeys(("entity", "name", "group", "job_type", "notes", "id")) | {"project": "another", "tags": []}
    logger = WandbLogger(wandb, choose_mode("auto"), about, {}, models=False)
    logger.start(Run(folder, "name", None, "train", {"model": {"name": "cellnet"}}))
    for epoch, auc in enumerate((0.2, 0.3, 0.1), 1):
        logger.scalars("epoch", epoch, {"epoch": epoch, "val_auc": auc})
    logger.finish("done", "")

signal.signal(signal.SIGTERM, signal.default_int_handler)
given = from_agent(sys.argv[1:])
values = read_values(given)
if values["auc"] == 0:
    sys.exit("cannot even begin")
with claim_run(Path(os.environ["MALARIA_EXP_OUTPUTS"]) / f"{time.time_ns()}", config_text="", overrides=given, task="train") as folder:
    (folder / "history.csv").write_text(f"epoch,val_auc\\n1,{values['auc']}\\n")
    if values["auc"] == 0.3:
        track(folder.path)
    if values["auc"] == 0.5:
        os.kill(os.getpid(), signal.SIGKILL)
    if values["seconds"] < 0:
        raise OSError("no such cells")
    time.sleep(values["seconds"])
"""
SWEEP = """
program: {program}
method: grid
metric: {{name: epoch/val_auc, goal: maximize}}
parameters:
  auc: {{values: {auc}}}
  seconds: {{value: {seconds}}}
  text: {{parameters: {{inner: {{value: "k=v, (x)"}}, none: {{value: null}}}}}}
command: ["${{env}}", "${{interpreter}}", "${{program}}", "${{args_no_hyphens}}", "logger=[console,csv,wandb]"]
"""


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A stand-in server that the client in this process, and those that it starts, take for W&B's."""
    running = WandbServer()
    environment = running.environment(tmp_path / "home")
    for name in os.environ.keys() - environment.keys():
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    yield running
    running.close()


@pytest.fixture
def begin(tmp_path):
    """begin(auc, seconds=..., agents=...): runs a sweep of tiny trials in tmp_path/sweep and returns its trials."""
    program, folder = tmp_path / "trial.py", tmp_path / "sweep"
    program.write_text(TRIAL)

    def run(auc, *, seconds=0.0, agents=2, count=None, overrides=("dataset=nih",)):
        (tmp_path / "sweep.yaml").write_text(SWEEP.format(program=program, auc=auc, seconds=seconds))
        folder.mkdir(exist_ok=True)
        found = read_sweep(tmp_path / "sweep.yaml")
        wandb_engine.run_wandb_sweep(found, folder, agents=agents, count=count, overrides=list(overrides), project="p", entity=None)
        return read_trials(folder, found.metric)

    return run


@pytest.fixture
def said(caplog, monkeypatch):
    """What the engine logs."""
    monkeypatch.setattr(log, "propagate", True)
    caplog.set_level("INFO", logger="malaria_exp")
    return caplog


def when(condition, act):
    """Does something in the background as soon as a condition holds."""

    def wait():
        for _ in range(1200):
            if condition():
                act()
                return
            time.sleep(0.05)

    threading.Thread(target=wait, daemon=True).start()


def status_of(folder, run):
    """The status of the trial that is a run of the server's; None before there is one."""
    for path in folder.glob("trials/*/status.json"):
        if path.read_text():
            status = json.loads(path.read_text())
            if status.get("wandb_run") == run:
                return status
    return None


def agent_of(folder, run):
    return os.getsid(status_of(folder, run)["pid"])


def processes_of(session):
    return processes.session(session)


@pytest.mark.long
def test_a_grid_is_run_to_its_end_whatever_happens_to_single_trials(server, begin, tmp_path, said):
    """One is stopped by the server, one is stopped and resumed, one's agent is killed, one is killed itself, one cannot begin."""
    folder = tmp_path / "sweep"
    server.stop_after = {"s0r0": 1, "s0r1": 1}
    server.resumed = {"s0r1"}
    dead = []

    def kill():
        dead.append(agent_of(folder, "s0r3"))
        os.kill(dead[0], signal.SIGKILL)

    when(lambda: (status_of(folder, "s0r3") or {}).get("status") == "running", kill)
    trials = begin([0.1, 0.2, 0.3, 0.4, 0.5, 0], seconds=6, agents=2)
    by_run = {}
    for trial in trials:
        run = json.loads((trial.path / "status.json").read_text()).get("wandb_run", trial.name)
        by_run.setdefault(run, []).append(trial.status)
    ends = {"s0r0": ["pruned"], "s0r1": ["pruned", "done"], "s0r2": ["done"], "s0r3": ["failed"], "s0r4": ["failed"], "s0r5": ["failed"]}
    assert by_run == ends
    without_agent, killed, unable = (trial for trial in trials if trial.status == "failed")
    assert unable.overrides == ["auc=0", "seconds=6", "text.inner='k=v, (x)'", "text.none=null"]
    assert ".log" in unable.reason
    assert "its agent ended with exit code -9" in without_agent.reason
    assert "its program was killed" in killed.reason
    assert processes_of(dead[0]) == [], "the trial of a dead agent does not run on"
    assert [record.getMessage() for record in said.records if "another takes its place" in record.getMessage()]
    done = next(trial for trial in trials if trial.objective == 0.3)
    assert done.values == {
        "auc": 0.3,
        "seconds": 6,
        "text.inner": "k=v, (x)",
        "text.none": None,
        "dataset": "nih",
        "logger": ["console", "csv", "wandb"],
    }
    # The run that the agent named, in the sweep and its project, with the metric where the server looks for it: as plain numbers.
    assert json.loads((done.path / "wandb.json").read_text())["id"] == "s0r2"
    assert (server.shown["s0r2"]["sweep"], server.shown["s0r2"]["project"]) == ("s0", "p")
    assert [row["epoch/val_auc"] for row in server.history["s0r2"] if "epoch/val_auc" in row] == [0.2, 0.3, 0.1]
    assert server.summaries["s0r2"]["epoch/val_auc"] == 0.3
    facts = json.loads((folder / "wandb_sweep.json").read_text())
    assert facts == {"id": "s0", "entity": "me", "project": "p", "url": f"{server.url}/me/p/sweeps/s0"}
    sent = server.sweeps["s0"]["asked"]
    assert sent["metric"] == {"name": "epoch/val_auc", "goal": "maximize"}
    assert sent["command"][2:] == ["${program}", "dataset=nih", "${args_no_hyphens}", "logger=[console,csv,wandb]"]
    for path in folder.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path
    assert KEY not in said.text


@pytest.mark.long
def test_ctrl_c_ends_trials_and_agents_and_the_sweep_goes_on_later(server, begin, tmp_path, said):
    folder = tmp_path / "sweep"
    agents = []

    def interrupt():
        agents.append(agent_of(folder, "s0r0"))
        os.kill(os.getpid(), signal.SIGINT)

    when(lambda: list(folder.glob("trials/*/history.csv")), interrupt)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        begin([0.1, 0.2], seconds=300, agents=1, count=2)
    assert time.monotonic() - began < 150
    assert status_of(folder, "s0r0")["status"] == "interrupted"
    assert processes_of(agents[0]) == []
    assert "wandb sweep --stop me/p/s0" in said.text
    assert server.sweeps["s0"]["asked"]["run_cap"] == 2
    server.sweeps["s0"]["left"] = [{**point, "seconds": 0} for point in server.sweeps["s0"]["left"]]
    trials = begin([0.1, 0.2], seconds=300, agents=1, count=2)
    assert [trial.status for trial in trials] == ["interrupted", "done"]
    assert list(server.sweeps) == ["s0"], "the same sweep, no second one"


@pytest.mark.long
def test_a_server_that_goes_away_lets_trials_end_and_is_then_an_error(server, begin, tmp_path, monkeypatch, said):
    """The agents hold out while they have a trial, then die; new ones cannot log in."""
    folder = tmp_path / "sweep"
    monkeypatch.setattr(wandb_engine, "MOST_REPLACED", 1)
    when(lambda: status_of(folder, "s0r0"), lambda: setattr(server, "refuse", (400, "gone")))
    with pytest.raises(RunFolderError, match=r"agents ended unexpectedly 2 times; the last one said: .*gone.*resume=true"):
        begin([0.1, 0.2], seconds=3, agents=1)
    assert status_of(folder, "s0r0")["status"] == "done"
    assert "another takes its place" in said.text


@pytest.mark.long
def test_trials_that_all_fail_end_the_sweep_with_their_reason(server, begin, tmp_path, monkeypatch):
    monkeypatch.setattr(wandb_watch, "MOST_FAILED", 2)
    with pytest.raises(RunFolderError, match="the first 2 trials have all failed; the last one: OSError: no such cells"):
        begin([0.1, 0.2, 0.3, 0.4], seconds=-1, agents=2)


def test_a_server_that_refuses_is_one_error_and_nothing_is_begun(server, begin, tmp_path):
    server.refuse = (403, "permission denied")
    with pytest.raises(
        DataError, match=r"engine: http://127.0.0.1:\d+ has not taken the sweep: .*permission denied.*engine=local"
    ) as error:
        begin([0.1])
    assert KEY not in str(error.value)
    assert list((tmp_path / "sweep").iterdir()) == []


def test_without_a_key_the_way_without_an_account_is_named(server, begin, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY")
    with pytest.raises(ConfigError, match=r"engine: wandb needs a key.*wandb login.*WANDB_API_KEY.*engine=local"):
        begin([0.1])
    assert not server.sweeps


def test_secrets_do_not_go_into_the_command_that_the_server_keeps(server, begin):
    with pytest.raises(ConfigError, match="looks like a key") as error:
        begin([0.1], overrides=["dataset.token=hunter2-on-the-command-line"])
    assert "hunter2" not in str(error.value)
    assert not server.sweeps


def test_the_wandb_command_takes_every_sweep_file_as_it_is(server):
    """`wandb sweep sweeps/x.yaml`, the client's own checks included; for all files in one process."""
    files = sorted((ROOT / "sweeps").glob("*.yaml"))
    program = "import sys; from wandb.cli.cli import cli; [cli(['sweep', path], standalone_mode=False) for path in sys.argv[1:]]"
    done = subprocess.run([sys.executable, "-c", program, *map(str, files)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("wandb agent me/malaria_exp/s") == len(files) and "WARNING" not in done.stderr
    assert [sweep["asked"]["name"] for sweep in server.sweeps.values()] == [path.stem for path in files]
    assert all("${args_no_hyphens}" in sweep["asked"]["command"] for sweep in server.sweeps.values())


def test_an_agents_last_line_counts_though_it_has_no_end(tmp_path, monkeypatch):
    process = SimpleNamespace(poll=lambda: None)
    monkeypatch.setattr(processes, "start", lambda *_, **__: process)
    agent = Agent(0, 1, tmp_path, Created("s0", "me", "malaria_exp", None))
    agent.log.write_text("a - Cleaning up finished run: r1\nb - Cleaning up finished run: r2")
    assert agent.read() == (set(), ["r1"])
    process.poll = lambda: 0
    assert agent.read() == (set(), ["r2"])
    assert agent.read() == (set(), [])
