"""What a multirun leaves so that it can go on."""

import os
from itertools import product

import pytest

from malaria_exp.sweeps.multirun_record import Record, changed_jobs, covering, find_multirun, read_record
from malaria_exp.utils.errors import RunFolderError

JOBS = [["seed=0"], ["seed=1"], ["seed=2"], ["seed=3"]]


def test_the_record_comes_back_and_secrets_do_not_stand_in_it(tmp_path):
    record = Record.of([["seed=1", "storage.token=abc123"]])
    record.write(tmp_path)
    assert read_record(tmp_path) == record and "abc123" not in (tmp_path / "multirun.json").read_text()
    assert record.hash != Record.of([["seed=1", "storage.token=other"]]).hash
    assert read_record(tmp_path / "none") is None


def test_the_newest_multirun_of_the_same_jobs_goes_on(tmp_path):
    record = Record.of(JOBS)
    for age, (name, jobs) in enumerate({"a": JOBS, "b": JOBS, "c": JOBS[:2]}.items()):
        (tmp_path / name).mkdir()
        Record.of(jobs).write(tmp_path / name)
        os.utime(tmp_path / name / "multirun.json", (1000 + age, 1000 + age))
    assert find_multirun(tmp_path / "new", record, named=False) == tmp_path / "b"
    assert find_multirun(tmp_path / "a", record, named=True) == tmp_path / "a"
    with pytest.raises(RunFolderError, match="no earlier multirun of this command"):
        find_multirun(tmp_path / "new", Record.of(JOBS[:1]), named=False)
    with pytest.raises(RunFolderError, match="holds another multirun .2 jobs, this command makes 4."):
        find_multirun(tmp_path / "c", record, named=True)
    with pytest.raises(RunFolderError, match="holds no multirun"):
        find_multirun(tmp_path / "new", record, named=True)


def test_a_configuration_that_was_edited_since_is_noticed(tmp_path):
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "config.yaml").write_text("seed: 1\nmodel:\n  stem: 16\n")
    same, other = {"seed": 1, "model": {"stem": 16}}, {"seed": 1, "model": {"stem": 32}}
    assert changed_jobs(tmp_path, {0: same, 1: other, 7: other}) == [1]


def grid(**values):
    return dict(enumerate([f"{key}={value}" for key, value in zip(values, chosen, strict=True)] for chosen in product(*values.values())))


@pytest.mark.parametrize(
    "jobs",
    [grid(model="abc", aug="defgh", seed=range(40)), grid(seed=range(500)), {7: ["a=1"], 9: ["a=1", "b=2"], 11: ["b=2"]}],
    ids=["grid", "one key", "some jobs of override sets"],
)
def test_every_override_is_among_the_jobs_that_are_composed(jobs):
    chosen = covering(jobs, 2)
    assert {override for number in chosen for override in jobs[number]} == {override for job in jobs.values() for override in job}
    assert chosen == sorted(set(chosen)) and set(chosen) <= set(jobs)


def test_jobs_to_compose_grow_with_the_values_not_with_their_combinations():
    assert len(covering(grid(model=range(10), aug=range(10), seed=range(100)), 100)) <= 10 + 10 + 100
    jobs = grid(seed=range(20))
    assert covering(jobs, 20) == list(jobs)
