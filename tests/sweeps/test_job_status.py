"""What became of jobs, by their run folders."""

import json
import os
import socket
import subprocess
import sys

import pytest

from malaria_exp.sweeps.job_status import make_room, mark_dead, mark_interrupted, move_aside, unfinished
from malaria_exp.utils.errors import RunFolderError


def write_status(folder, number, **status):
    (folder / str(number)).mkdir(parents=True, exist_ok=True)
    (folder / str(number) / "status.json").write_text(json.dumps(status))


@pytest.fixture
def gone():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_did_not_end_well_is_left(tmp_path, gone):
    write_status(tmp_path, 0, status="done")
    write_status(tmp_path, 1, status="failed")
    write_status(tmp_path, 2, status="running", pid=gone, host=socket.gethostname())
    assert unfinished(tmp_path, 4) == [1, 2, 3]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_job_that_may_be_running_is_left_alone(tmp_path, elsewhere):
    host = "another-node" if elsewhere else socket.gethostname()
    write_status(tmp_path, 1, status="running", pid=os.getpid(), host=host)
    with pytest.raises(RunFolderError, match="job 1 is still running") as caught:
        unfinished(tmp_path, 4)
    assert host in str(caught.value)


def test_a_job_that_died_without_a_word_has_failed(tmp_path):
    write_status(tmp_path, 0, status="done")
    write_status(tmp_path, 1, status="running", overrides=["seed=1"])
    assert mark_dead(tmp_path, range(4)) == [1]
    status = json.loads((tmp_path / "1" / "status.json").read_text())
    assert (status["status"], status["overrides"]) == ("failed", ["seed=1"])
    assert "its process ended without a word" in status["reason"]


def test_only_processes_that_an_interrupt_ended_are_interrupted(tmp_path, gone):
    here = socket.gethostname()
    write_status(tmp_path, 0, status="done")
    write_status(tmp_path, 1, status="running", pid=gone, host=here, overrides=["seed=1"])
    write_status(tmp_path, 2, status="running", pid=os.getpid(), host=here)
    write_status(tmp_path, 3, status="running", pid=gone, host="elsewhere")
    mark_interrupted(tmp_path, range(5), patience=0)
    found = [json.loads((tmp_path / str(number) / "status.json").read_text()) for number in range(4)]
    assert [status["status"] for status in found] == ["done", "interrupted", "running", "running"]
    assert found[1]["overrides"] == ["seed=1"] and "reason" in found[1]


def test_previous_attempts_are_kept(tmp_path):
    for attempt in range(2):
        write_status(tmp_path, 3, status="failed", reason=str(attempt))
        move_aside(tmp_path, 3)
    move_aside(tmp_path, 3)
    assert sorted(path.name for path in (tmp_path / "earlier").iterdir()) == ["3-1", "3-2"]
    assert json.loads((tmp_path / "earlier" / "3-2" / "status.json").read_text())["reason"] == "1"
    assert not (tmp_path / "3").exists()


def test_a_job_begun_again_by_its_scheduler_has_its_folder_to_itself_and_loses_nothing(tmp_path):
    assert make_room(tmp_path, 0, "first")
    for attempt, status in enumerate(("running", "interrupted", "failed"), 1):
        write_status(tmp_path, 0, status=status, launch="first", host="a node that died", pid=1)
        assert make_room(tmp_path, 0, "first") and not (tmp_path / "0").exists()
        assert json.loads((tmp_path / "earlier" / f"0-{attempt}" / "status.json").read_text())["status"] == status
    write_status(tmp_path, 0, status="done", launch="first")
    assert not make_room(tmp_path, 0, "first") and (tmp_path / "0").exists()


def test_a_job_that_runs_for_another_launch_is_left_alone(tmp_path):
    write_status(tmp_path, 0, status="running", launch="first", host="n17", pid=1)
    with pytest.raises(RunFolderError, match=r"Job 0 .* is running already.*n17"):
        make_room(tmp_path, 0, "second")
    assert (tmp_path / "0" / "status.json").exists()
