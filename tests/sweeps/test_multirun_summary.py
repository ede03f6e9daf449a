import csv
import json

import pytest

from malaria_exp.sweeps import multirun_summary
from malaria_exp.utils.progress_bars import console

HEADLINE = {"subset": "test", "auc": 0.9876, "accuracy": 0.95, "sensitivity": None, "specificity": 0.97}


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    for job in range(12):
        (tmp_path / str(job)).mkdir()
        status = {"status": "done", "overrides": ["dataset=synthetic", f"seed={job}", f"a=[{job}]"], "headline": HEADLINE}
        if job == 3:
            status = {"status": "failed", "overrides": ["dataset=synthetic", "seed=3"], "reason": "the disk [was] full", "seconds": 1.5}
        (tmp_path / str(job) / "status.json").write_text(json.dumps(status))
    monkeypatch.setattr(multirun_summary, "_sweep_dirs", [tmp_path])
    return tmp_path


@pytest.fixture
def summary(monkeypatch):
    """summary() -> (exit code, what a terminal of 100 columns shows)."""
    monkeypatch.setattr(console(), "width", 100)

    def call():
        with console().capture() as capture:
            code = multirun_summary.print_summary()
        return code, capture.get()

    return call


def test_jobs_stand_in_their_order_with_what_tells_them_apart(sweep, summary):
    code, text = summary()
    assert code == 1
    lines = [line.split() for line in text.splitlines() if line.split()[:1] and line.split()[0].isdigit()]
    assert [line[0] for line in lines[1:13]] == [str(job) for job in range(12)]
    assert "dataset=synthetic" not in text
    assert text.index("monitor") < text.index("auc"), "validation comes first"
    above = next(line.split() for line in text.splitlines() if line.split()[:1] == ["val"])
    assert set(above[1:]) == {"test"}
    # Brackets are no markup.
    assert "a=[11]" in text and "the disk [was] full" in text


def test_every_job_is_in_the_csv(sweep, summary):
    summary()
    with (sweep / "jobs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["job"] for row in rows] == [str(job) for job in range(12)]
    assert rows[0]["auc"] == "0.9876"
    assert rows[0]["sensitivity"] == ""
    assert rows[0]["subset"] == "test"
    # Who chooses among jobs sees the validation result first.
    assert list(rows[0])[3:6] == ["objective", "subset", "auc"]
    assert rows[3]["status"] == "failed"


def test_all_done_is_success_and_a_damaged_status_is_a_failure(sweep, summary):
    (sweep / "3" / "status.json").write_text(json.dumps({"status": "done", "overrides": []}))
    assert summary()[0] == 0
    multirun_summary._sweep_dirs[:] = [sweep]
    (sweep / "5" / "status.json").write_text("{")
    code, text = summary()
    assert code == 1
    assert "cannot be read" in text


def test_of_very_many_jobs_those_that_failed_are_shown_first_and_the_csv_has_all(sweep, summary, monkeypatch):
    monkeypatch.setattr(multirun_summary, "MOST_SHOWN", 3)
    code, text = summary()
    assert code == 1
    shown = [line.split()[0] for line in text.splitlines() if line.split()[:1] and line.split()[0].isdigit()]
    # Between the title's number of jobs and the last line's of those that failed.
    assert shown == ["12", "0", "1", "3", "1"]
    assert "3 of them, all are in jobs.csv" in " ".join(text.split())
    assert "the disk [was] full" in text
    assert len((sweep / "jobs.csv").read_text().splitlines()) == 13


def test_where_long_overrides_need_the_room_they_stay_whole_and_some_numbers_are_left_out(sweep, summary):
    for job in range(12):
        path = sweep / str(job) / "status.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"overrides": [f"optimizer.learning_rate=0.0{job + 10}"]}))
    _, text = summary()
    assert "optimizer.learning_rate=0.021 " in text
    assert "sensitivity" in text and "accuracy" not in text
    assert max(map(len, text.splitlines())) <= 100


def test_without_a_multirun_nothing_is_printed(summary, monkeypatch):
    monkeypatch.setattr(multirun_summary, "_sweep_dirs", [])
    assert summary() == (0, "")
