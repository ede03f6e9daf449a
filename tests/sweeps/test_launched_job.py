"""A launcher's worker chooses its GPU by the number of its first job."""

import sys

import pytest

from malaria_exp.sweeps import launched_job
from malaria_exp.sweeps.launched_job import threads_per_job


@pytest.mark.parametrize(
    ("number", "visible", "count", "chosen"),
    [
        (0, None, 4, "0"),
        (5, None, 4, "1"),
        (2, "3,5", 8, "3"),
        (1, "GPU-a, GPU-b", 2, "GPU-b"),
        # One is no choice, and a scheduler's is kept.
        (3, "2", 8, None),
        (3, "", 8, None),
        (0, None, 1, None),
        (0, None, 0, None),
    ],
)
def test_jobs_are_dealt_out_to_the_gpus_that_are_allowed(number, visible, count, chosen):
    assert launched_job.gpu_of(number, visible, count) == chosen


def test_a_worker_keeps_the_gpu_of_its_first_job(monkeypatch, tmp_path):
    for name in range(4):
        (tmp_path / str(name)).mkdir()
    monkeypatch.setattr(launched_job, "GPUS", tmp_path)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("MALARIA_EXP_GPU", "")
    monkeypatch.delenv("MALARIA_EXP_GPU")
    launched_job.choose_gpu(2)
    assert launched_job.os.environ["CUDA_VISIBLE_DEVICES"] == "2"
    launched_job.choose_gpu(3)
    assert launched_job.os.environ["CUDA_VISIBLE_DEVICES"] == "2"


def test_threads_are_shared(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert [threads_per_job(jobs) for jobs in (1, 2, 3, 8, 20, -1)] == ["8", "4", "2", "1", "1", "1"]
