"""What a multirun leaves so that it can go on."""

import json
import os
import socket
import subprocess
import sys
from itertools import product

import pytest

from malaria_exp.sweeps.multirun_record import (
    Record,
    begin_again,
    changed_jobs,
    covering,
    earlier_multirun,
    mark_dead,
    mark_interrupted,
    move_aside,
    read_record,
    unfinished,
)
from malaria_exp.utils.errors import RunFolderError

JOBS = [["seed=0"], ["seed=1"], ["seed=2"], ["seed=3"]]


def write_status(folder, number, **status):
    (folder / str(number)).mkdir(parents=True, exist_ok=True)
    (folder / str(number) / "status.json").write_text(json.dumps(status))


@pytest.fixture
def gone():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_record_comes_back_and_secrets_do_not_stand_in_it(tmp_path):
    record = Record.of([["seed=1", "storage.token=abc123"]])
    record.write(tmp_path)
    assert read_record(tmp_path) == record
    assert "abc123" not in (tmp_path / "multirun.json").read_text()
    assert record.hash != Record.of([["seed=1", "storage.token=other"]]).hash
    assert read_record(tmp_path / "none") is None


def test_the_newest_multirun_of_the_same_jobs_goes_on(tmp_path):
    record = Record.of(JOBS)
    for age, (name, jobs) in enumerate({"a": JOBS, "b": JOBS, "c": JOBS[:2]}.items()):
        (tmp_path / name).mkdir()
        Record.of(jobs).write(tmp_path / name)
        os.utime(tmp_path / name / "multirun.json", (1000 + age, 1000 + age))
    assert earlier_multirun(tmp_path / "new", record, named=False) == tmp_path / "b"
    assert earlier_multirun(tmp_path / "a", record, named=True) == tmp_path / "a"
    with pytest.raises(RunFolderError, match="no earlier multirun of this command"):
        earlier_multirun(tmp_path / "new", Record.of(JOBS[:1]), named=False)
    with pytest.raises(RunFolderError, match="holds another multirun .2 jobs, this command makes 4."):
        earlier_multirun(tmp_path / "c", record, named=True)
    with pytest.raises(RunFolderError, match="holds no multirun"):
        earlier_multirun(tmp_path / "new", record, named=True)


def test_what_did_not_end_well_is_left(tmp_path, gone):
    write_status(tmp_path, 0, status="done")
    write_status(tmp_path, 1, status="failed")
    write_status(tmp_path, 2, status="running", pid=gone, host=socket.gethostname())
    assert unfinished(tmp_path, Record.of(JOBS)) == [1, 2, 3]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_job_that_may_be_running_is_left_alone(tmp_path, elsewhere):
    host = "another-node" if elsewhere else socket.gethostname()
    write_status(tmp_path, 1, status="running", pid=os.getpid(), host=host)
    with pytest.raises(RunFolderError, match="job 1 is still running") as caught:
        unfinished(tmp_path, Record.of(JOBS))
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
    assert found[1]["overrides"] == ["seed=1"]
    assert "reason" in found[1]


def test_earlier_attempts_are_kept(tmp_path):
    for attempt in range(2):
        write_status(tmp_path, 3, status="failed", reason=str(attempt))
        move_aside(tmp_path, 3)
    move_aside(tmp_path, 3)
    assert sorted(path.name for path in (tmp_path / "earlier").iterdir()) == ["3-1", "3-2"]
    assert json.loads((tmp_path / "earlier" / "3-2" / "status.json").read_text())["reason"] == "1"
    assert not (tmp_path / "3").exists()


def test_a_configuration_that_was_edited_since_is_noticed(tmp_path):
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "config.yaml").write_text("seed: 1\nmodel:\n  stem: 16\n")
    same, other = {"seed": 1, "model": {"stem": 16}}, {"seed": 1, "model": {"stem": 32}}
    assert changed_jobs(tmp_path, {0: same, 1: other, 7: other}) == [1]


def test_a_job_begun_again_by_its_scheduler_has_its_folder_to_itself_and_loses_nothing(tmp_path):
    assert begin_again(tmp_path, 0, "first")
    for attempt, status in enumerate(("running", "interrupted", "failed"), 1):
        write_status(tmp_path, 0, status=status, launch="first", host="a node that died", pid=1)
        assert begin_again(tmp_path, 0, "first")
        assert not (tmp_path / "0").exists()
        assert json.loads((tmp_path / "earlier" / f"0-{attempt}" / "status.json").read_text())["status"] == status
    write_status(tmp_path, 0, status="done", launch="first")
    assert not begin_again(tmp_path, 0, "first")
    assert (tmp_path / "0").exists()


def test_a_job_that_runs_for_another_launch_is_left_alone(tmp_path):
    write_status(tmp_path, 0, status="running", launch="first", host="n17", pid=1)
    with pytest.raises(RunFolderError, match=r"Job 0 .* is running already.*n17"):
        begin_again(tmp_path, 0, "second")
    assert (tmp_path / "0" / "status.json").exists()


def grid(**values):
    return dict(enumerate([f"{key}={value}" for key, value in zip(values, chosen, strict=True)] for chosen in product(*values.values())))


@pytest.mark.parametrize(
    "jobs",
    [grid(model="abc", aug="defgh", seed=range(40)), grid(seed=range(500)), {7: ["a=1"], 9: ["a=1", "b=2"], 11: ["b=2"]}],
    ids=["grid", "one key", "pairs that go on"],
)
def test_every_override_is_among_the_jobs_that_are_composed(jobs):
    chosen = covering(jobs, 2)
    assert {override for number in chosen for override in jobs[number]} == {override for job in jobs.values() for override in job}
    assert chosen == sorted(set(chosen)) and set(chosen) <= set(jobs)


def test_their_number_grows_with_the_values_not_with_their_combinations():
    assert len(covering(grid(model=range(10), aug=range(10), seed=range(100)), 100)) <= 10 + 10 + 100


def test_of_few_jobs_all_are_composed():
    jobs = grid(seed=range(20))
    assert covering(jobs, 20) == list(jobs)
