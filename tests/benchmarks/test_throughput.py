"""The program that writes the table of docs/scale.md: its fractions are made of the grids' own files."""

import json
import os
import shutil

import pytest
from conftest import ROOT


@pytest.fixture(scope="module")
def throughput(load):
    return load("throughput")


def grid(folder, job, *, seconds, at_a_time, copies=1):
    """A grid of so many copies of a finished run, which took so long on a machine of two cores."""
    for number in range(copies):
        shutil.copytree(job, folder / str(number), copy_function=shutil.copy2)
    facts = {"seconds": seconds, "at_a_time": at_a_time, "arguments": [], "machine": {"cores": 2, "processor": "X"}}
    (folder / "grid.json").write_text(json.dumps(facts))
    return folder


def test_parts_of_a_job_add_up_to_its_time(throughput, finished_run):
    job = throughput.read_job(finished_run)
    status = json.loads((finished_run / "status.json").read_text())
    assert min(job.values()) > 0 and sum(job.values()) == pytest.approx(status["seconds"])


def test_the_fraction_is_of_all_cores(throughput, finished_run, tmp_path, monkeypatch, capsys):
    training = throughput.read_job(finished_run)["training"]
    page = tmp_path / "docs" / "scale.md"
    page.parent.mkdir()
    page.write_text("before\n<!-- throughput: begin -->\nold\n<!-- throughput: end -->\nafter\n")
    runs = tmp_path / "runs"
    grid(runs / "cold", finished_run, seconds=9, at_a_time=1)
    # Three jobs, one after another with both cores each, or two at a time with one each.
    grid(runs / "basic", finished_run, seconds=4 * training, at_a_time=1, copies=3)
    grid(runs / "joblib", finished_run, seconds=2 * training, at_a_time=2, copies=3)
    for number, name in enumerate(("cold", "basic", "joblib")):
        os.utime(runs / name / "grid.json", (number, number))
    monkeypatch.setattr("sys.argv", ["throughput.py", "--from", str(runs), "--docs", str(page.parent)])
    assert throughput.main() == 0
    text = page.read_text()
    assert text.startswith("before\n<!-- throughput: begin -->\n2 cores of X; seconds.") and text.endswith("end -->\nafter\n")
    fractions = {
        line.split("`")[1]: line.split("|")[-2].strip() for line in text.splitlines() if line.startswith(("| `basic", "| `joblib"))
    }
    assert fractions == {"basic": "75%", "joblib": "75%"}
    assert "old" not in text and "a process that has run another job" in text and "wrote" in capsys.readouterr().out


def test_a_job_that_failed_counts_for_nothing_and_is_said(throughput, finished_run, tmp_path, monkeypatch, capsys):
    grid(tmp_path / "cold", finished_run, seconds=9, at_a_time=1)
    folder = grid(tmp_path / "basic", finished_run, seconds=9, at_a_time=1, copies=2)
    (folder / "1" / "status.json").write_text('{"status": "failed", "reason": "no memory"}')
    monkeypatch.setattr("sys.argv", ["throughput.py", "--from", str(tmp_path)])
    assert throughput.main() == 1
    assert "| `basic` (1 not finished) |" in capsys.readouterr().out


def test_every_launcher_of_this_machine_is_measured(throughput):
    launchers = {path.stem for path in (ROOT / "conf" / "hydra" / "launcher").glob("*.yaml")}
    assert set(throughput.LAUNCHERS) == launchers - {"submitit_slurm"} | {"basic"}
