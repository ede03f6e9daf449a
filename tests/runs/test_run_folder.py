"""A run's folder belongs to one run, and always says what became of it."""

import errno
import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT

from malaria_exp.runs import run_folder
from malaria_exp.runs.run_folder import LOCK, STATUS, claim_run, may_be_running, record_refusal
from malaria_exp.utils import terminal_log
from malaria_exp.utils.atomic_files import write_json
from malaria_exp.utils.errors import ConfigError, DataError, DiskFullError, RunFolderError
from malaria_exp.utils.terminal_log import log, start_terminal_log


@pytest.fixture(autouse=True)
def _log():
    start_terminal_log()


def claim(path, overrides=("seed=1",), *, again=False):
    return claim_run(path, config_text="seed: 1\n", overrides=list(overrides), task="train", again=again)


def status(path):
    return json.loads((path / STATUS).read_text())


def test_a_run_that_ends_well(tmp_path):
    path = tmp_path / "deep" / "run"
    with claim(path) as folder:
        running = status(path)
        folder.facts["headline"] = {"auc": 0.9}
        log.info("epoch 1")
    assert (running["status"], running["task"], running["overrides"], running["pid"]) == ("running", "train", ["seed=1"], os.getpid())
    done = status(path)
    assert (done["status"], done["headline"]) == ("done", {"auc": 0.9})
    assert done["started"] == running["started"]
    assert done["seconds"] >= 0
    assert "pid" not in done
    assert (path / "config.yaml").read_text() == "seed: 1\n"
    assert "INFO epoch 1" in (path / "run.log").read_text()


def test_an_empty_folder_that_exists_is_taken(tmp_path):
    with claim(tmp_path) as folder:
        assert folder.path == tmp_path
        assert folder / "a.csv" == tmp_path / "a.csv"


def snapshot(path):
    return {item.relative_to(path): (item.read_bytes() if item.is_file() else None, item.stat().st_mtime_ns) for item in path.rglob("*")}


def test_a_folder_that_holds_anything_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "thesis.txt").write_text("years of work")
    before = snapshot(tmp_path)
    with pytest.raises(RunFolderError, match="already holds files.*hydra.run.dir"), claim(tmp_path):
        pass
    assert snapshot(tmp_path) == before


def test_a_second_claim_is_refused_while_the_first_runs_and_after_it(tmp_path):
    path = tmp_path / "run"
    with claim(path):
        before = snapshot(path)
        with pytest.raises(RunFolderError, match=str(path)), claim(path):
            pass
        assert snapshot(path) == before
        log.info("still mine")
    assert "still mine" in (path / "run.log").read_text()
    with pytest.raises(RunFolderError), claim(path):
        pass
    assert status(path)["status"] == "done"


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(RunFolderError, match=r"hydra\.run\.dir"), claim(path):
            pass
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_of_eight_processes_exactly_one_gets_the_folder(tmp_path):
    program = '''
import os, pathlib, sys, time
from malaria_exp.utils.errors import RunFolderError
from malaria_exp.utils.terminal_log import log, start_terminal_log
from malaria_exp.runs.run_folder import claim_run
who, root = sys.argv[1], pathlib.Path(sys.argv[2])
start_terminal_log()
open_file = os.open

def open_together(path, *arguments):
    """All eight have found the folder empty before the first of them creates anything in it."""
    (root / f"ready-{who}").open("w").close()  # touch() would come back here
    deadline = time.monotonic() + 60
    while len(list(root.glob("ready-*"))) < 8 and time.monotonic() < deadline:
        time.sleep(0.001)
    return open_file(path, *arguments)

os.open = open_together
try:
    with claim_run(root / "run", config_text=who, overrides=[who], task="train"):
        log.info(f"I am {who}")
        (root / f"won-{who}").touch()
        time.sleep(0.3)
except RunFolderError as error:
    sys.exit(error.exit_code)
'''
    processes = [
        subprocess.Popen([sys.executable, "-c", program, str(who), str(tmp_path)], cwd=ROOT, stderr=subprocess.DEVNULL) for who in range(8)
    ]
    codes = [process.wait(120) for process in processes]
    assert len(list(tmp_path.glob("ready-*"))) == 8
    assert sorted(codes) == [0] + [RunFolderError.exit_code] * 7
    winner = str(codes.index(0))
    assert [item.name for item in tmp_path.glob("won-*")] == [f"won-{winner}"]
    assert (status(tmp_path / "run")["status"], status(tmp_path / "run")["overrides"]) == ("done", [winner])
    assert (tmp_path / "run" / "config.yaml").read_text() == winner
    lines = (tmp_path / "run" / "run.log").read_text().splitlines()
    assert len(lines) == 1
    assert lines[0].endswith(f"I am {winner}")


@pytest.mark.parametrize(
    ("error", "status_", "reason", "logged", "trace"),
    [
        (DataError("3 images cannot be read"), "failed", "3 images cannot be read", "ERROR 3 images cannot be read", False),
        (ZeroDivisionError("deep down"), "failed", "ZeroDivisionError: deep down", "in deep_inside", True),
        (MemoryError("deep down"), "failed", "MemoryError: deep down", "in deep_inside", True),
        (SystemExit("deep down"), "failed", "SystemExit: deep down", "in deep_inside", True),
        (KeyboardInterrupt(), "interrupted", "stopped by Ctrl-C or a signal", "Interrupted", False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_how_a_run_ended_is_recorded_and_only_an_unexpected_error_has_a_traceback(tmp_path, capsys, error, status_, reason, logged, trace):
    def deep_inside():
        raise error

    with pytest.raises(type(error)), claim(tmp_path / "x") as folder:
        folder.facts["epochs"] = 3
        deep_inside()
    found = status(tmp_path / "x")
    assert (found["status"], found["reason"], found["epochs"]) == (status_, reason, 3)
    assert found.get("error") == (None if status_ == "interrupted" else type(error).__name__)
    text = (tmp_path / "x" / "run.log").read_text()
    assert logged in text
    assert ("Traceback" in text) == trace
    hint = f"resume    python run.py task=resume run={tmp_path / 'x'} goes on with this run\n"
    assert capsys.readouterr().err == (hint if status_ == "interrupted" else ""), "the program's end shows the error, once"


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), RuntimeError("HDF5: errno = 28, error message = 'No space left on device'")],
    ids=["Python's", "a library's"],
)
def test_a_full_disk_is_one_message_whoever_meets_it(tmp_path, capsys, monkeypatch, error):
    # What a handler of the log does that cannot write.
    monkeypatch.setattr(terminal_log.FileHandler, "flush", lambda self: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(DiskFullError, match=rf"'{tmp_path / 'run'}' cannot be written: No space left on device. Make room"):  # noqa: SIM117
        with claim_run(tmp_path / "run", config_text="", overrides=[], task="train"):
            log.info("a line")
            raise error
    assert json.loads((tmp_path / "run" / STATUS).read_text())["status"] == "failed"
    assert capsys.readouterr().err == "a line\n", "nothing of the log's own failure"


def test_a_folder_without_room_for_the_claim_is_not_claimed(tmp_path, monkeypatch):
    monkeypatch.setattr("malaria_exp.utils.atomic_files.os.fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    monkeypatch.setattr(run_folder, "write_json_on_full_disk", write_json)
    with pytest.raises(DiskFullError), claim_run(tmp_path / "run", config_text="", overrides=[], task="train"):
        pass
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("error", [None, DataError("a"), ValueError("b"), KeyboardInterrupt()])
def test_the_next_job_of_the_process_does_not_write_to_this_runs_log(tmp_path, error):
    handlers = list(log.handlers)
    try:
        with claim(tmp_path / "first"):
            if error:
                raise error
    except type(error):
        pass
    log.info("of the second")
    assert log.handlers == handlers
    assert "of the second" not in (tmp_path / "first" / "run.log").read_text()


def test_secrets_do_not_reach_the_status_or_the_log(tmp_path):
    with pytest.raises(DataError), claim(tmp_path / "x", ["+logger.csv.api_key=hunter2", "seed=1"]):
        raise DataError("unknown key, received logger.csv.api_key='hunter2'.")
    record_refusal(tmp_path / "y", overrides=["+wandb_api_key=hunter2"], reason="received wandb_api_key='hunter2'")
    written = [item for item in tmp_path.rglob("*") if item.is_file()]
    assert len(written) == 4
    assert not [item.name for item in written if "hunter2" in item.read_text()]
    assert status(tmp_path / "x")["overrides"] == ["+logger.csv.api_key=***", "seed=1"]


def test_a_refusal_is_recorded_where_nothing_stands_only(tmp_path):
    record_refusal(tmp_path / "new", overrides=["seed=abc"], reason="seed: expected a whole number")
    assert status(tmp_path / "new") == {"status": "failed", "overrides": ["seed=abc"], "reason": "seed: expected a whole number"}
    with claim(tmp_path / "taken"):
        pass
    before = snapshot(tmp_path / "taken")
    record_refusal(tmp_path / "taken", overrides=[], reason="taken")
    assert snapshot(tmp_path / "taken") == before


def test_two_processes_never_work_in_one_folder_and_a_dead_ones_status_is_known(tmp_path):
    with claim(tmp_path / "x"):
        running = status(tmp_path / "x")
        assert may_be_running(tmp_path / "x", running)
        with pytest.raises(RunFolderError, match="Another process works in"), claim(tmp_path / "x", again=True):
            pass
    # As a process leaves it that was killed: the file stays, the lock does not. Its number may be another process' by now.
    (tmp_path / "x" / LOCK).touch()
    assert not may_be_running(tmp_path / "x", running)


def test_a_run_that_was_killed_before_it_began_leaves_its_folder_free(tmp_path):
    (tmp_path / STATUS).touch()
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    (tmp_path / ".0123abcd.status.json").write_text("{")
    with claim(tmp_path):
        assert status(tmp_path)["status"] == "running"
    assert {path.name for path in tmp_path.iterdir()} == {STATUS, "config.yaml", "run.log"}


def test_a_configuration_that_is_refused_before_any_work_leaves_nothing(tmp_path):
    with pytest.raises(ConfigError), claim(tmp_path / "refused"):
        raise ConfigError("runs: missing")
    assert not (tmp_path / "refused").exists()
    with pytest.raises(ConfigError), claim(tmp_path / "begun") as folder:
        (folder / "split.csv").write_text("cell_id,subset\n")
        raise ConfigError("trainer.accumulate: too many")
    assert status(tmp_path / "begun")["status"] == "failed"
