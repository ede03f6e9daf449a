import csv
import json

import pytest

from malaria_exp.sweeps import multirun_summary
from malaria_exp.utils.progress_bars import console

NUMBERS = {"auc": 0.9876, "accuracy": 0.95, "sensitivity": None, "specificity": 0.97}
HEADLINE = {"val": NUMBERS | {"auc": 0.9912}, "test": NUMBERS}


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
    above = next(line.split() for line in text.splitlines() if line.split()[:1] == ["val"])
    assert above == ["val"] * 5 + ["test"] * 4, "validation comes first"
    # Brackets are no markup.
    assert "a=[11]" in text and "the disk [was] full" in text


def test_every_job_is_in_the_csv(sweep, summary):
    summary()
    with (sweep / "jobs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["job"] for row in rows] == [str(job) for job in range(12)]
    assert (rows[0]["val_auc"], rows[0]["test_auc"], rows[0]["test_sensitivity"]) == ("0.9912", "0.9876", "")
    # Who chooses among jobs sees the validation results first.
    assert [name.partition("_")[0] for name in list(rows[0])[3:12]] == ["val"] * 5 + ["test"] * 4
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


def test_jobs_that_left_their_test_subset_sealed_have_no_column_of_it_and_old_ones_do_no_harm(sweep, summary):
    for job in range(12):
        path = sweep / str(job) / "status.json"
        sealed = {"val": NUMBERS} if job else {"subset": "test", "auc": 0.5}
        path.write_text(json.dumps(json.loads(path.read_text()) | {"headline": sealed}))
    _, text = summary()
    above = next(line.split() for line in text.splitlines() if line.split()[:1] == ["val"])
    assert above == ["val"] * 5 and text.count("0.9876") == 11
    header = (sweep / "jobs.csv").read_text().splitlines()[0]
    assert header == "job,overrides,status,val_monitor,val_auc,val_accuracy,val_sensitivity,val_specificity,seconds,reason"


@pytest.mark.parametrize(("width", "left"), [(80, 1), (60, 0)])
def test_on_a_narrow_terminal_numbers_of_test_cells_give_way_and_those_of_validation_stay(sweep, summary, monkeypatch, width, left):
    monkeypatch.setattr(console(), "width", width)
    _, text = summary()
    above = next(line.split() for line in text.splitlines() if line.split()[:1] == ["val"])
    assert above == ["val"] * 5 + ["test"] * left and text.count("0.9912") == 11


def test_where_long_overrides_need_the_room_they_stay_whole_and_some_numbers_are_left_out(sweep, summary):
    for job in range(12):
        path = sweep / str(job) / "status.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"overrides": [f"optimizer.learning_rate=0.0{job + 10}"]}))
    _, text = summary()
    assert "optimizer.learning_rate=0.021 " in text
    above = next(line.split() for line in text.splitlines() if line.split()[:1] == ["val"])
    assert above == ["val"] * 5 + ["test"] * 2
    assert max(map(len, text.splitlines())) <= 100


def test_without_a_multirun_nothing_is_printed(summary, monkeypatch):
    monkeypatch.setattr(multirun_summary, "_sweep_dirs", [])
    assert summary() == (0, "")
