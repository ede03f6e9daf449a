"""The test access log: who has opened which patients, how often that is, and what damage does to it."""

import json
import threading
from dataclasses import asdict, replace

import pytest

from malaria_exp.config.registry import build
from malaria_exp.data.split_manifest import Manifest
from malaria_exp.runs import access_log
from malaria_exp.runs.access_log import LOG, Opening, count, folder_of_runs, record_opening
from malaria_exp.runs.run_folder import RunFolder

CONFIG = {
    "seed": 0,
    "model": {"name": "cellnet", "stem": 8},
    "split": {"name": "patient_kfold", "fold": 0, "seed": 0},
    "evaluation": {"test": True},
}


def opening(run="a", patients=("p", "q"), configuration="x", **others):
    about = {"time": "", "task": "train", "started": "1", "dataset": "nih", "test_set": "", "protocol": "", "seed": 0, "settings": ""}
    return Opening(**about | {"run": run, "patients": list(patients), "configuration": configuration} | others)


def counted(openings):
    found = count(openings, openings[-1])
    return found.openings, found.configurations


def test_every_opening_of_a_shared_patient_counts():
    assert counted([opening()]) == (1, 1)
    assert counted([opening("a"), opening("b"), opening("c", configuration="y")]) == (3, 2)
    # One patient in common is enough.
    assert counted([opening("a", ["p", "r"]), opening("b", ["q", "r"])]) == (2, 1)


def test_patients_of_the_same_name_in_other_data_do_not_count():
    assert counted([opening("a", dataset="clinic"), opening("b")]) == (1, 1)


def test_the_folds_of_a_cross_validation_open_every_patient_once():
    folds = [opening(str(fold), [f"p{fold}", f"q{fold}"]) for fold in range(5)]
    pooled = opening("pool", [name for fold in folds for name in fold.patients])
    assert counted([*folds[1:], folds[0]]) == (1, 1)
    assert counted([*folds, pooled]) == (2, 1)


def test_never_more_configurations_than_openings():
    """Two patients who were opened by one configuration each, and never together."""
    assert counted([opening("a", ["p"]), opening("b", ["q"], "y"), opening("c", configuration="z")]) == (2, 2)


def test_unknown_patients_are_told_apart_by_the_set_of_cells():
    assert counted([opening("a", [], test_set="1"), opening("b", [], test_set="2")]) == (1, 1)
    assert counted([opening("a", [], test_set="1"), opening("b", [], test_set="1")]) == (2, 1)


@pytest.mark.parametrize(
    ("files", "run"),
    [([], "run"), (["many/multirun.yaml"], "many/3"), (["search/status.json"], "search/trials/3")],
    ids=["a run", "a job of a multirun", "a trial of a search"],
)
def test_the_log_lies_in_the_folder_that_holds_the_runs(tmp_path, files, run):
    for name in files:
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    assert folder_of_runs(tmp_path / run) == tmp_path


@pytest.fixture(scope="module")
def table():
    return build("dataset", "synthetic", {"infected_patients": 6, "healthy_patients": 3, "cells_per_patient": 6, "cell_size": 40})


@pytest.fixture
def record(table, tmp_path):
    """record("a", started="1", changes of CONFIG ...) -> what an opening by the run in outputs/a gives."""
    manifest: Manifest = build("split", "patient_holdout", {"train": 0.4, "val": 0.3, "test": 0.3}, table)

    def call(name, started="1", **changes):
        folder = tmp_path / "outputs" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "status.json").write_text(json.dumps({"task": "train", "status": "running", "started": started}))
        return record_opening(RunFolder(folder), table, manifest, "test", task="train", protocol="patient_holdout", config=CONFIG | changes)

    return call


def lines(tmp_path):
    return (tmp_path / "outputs" / LOG).read_text(encoding="utf-8").splitlines()


def test_seeds_folds_and_how_scores_are_counted_make_no_other_configuration(record):
    record("a")
    record("b", seed=1, split=CONFIG["split"] | {"fold": 3, "seed": 2})
    record("c", evaluation={"test": False}, cache={"root": "/elsewhere"})
    found = record("d", model={"name": "cellnet", "stem": 16})
    assert (found.openings, found.configurations) == (4, 2)
    assert str(found).startswith("This test set has been opened 4 times, by 2 configurations")


def test_a_run_that_goes_on_counts_once_and_a_new_one_in_its_folder_again(record, tmp_path):
    assert [record("a").openings, record("a").openings, record("a", started="2").openings] == [1, 1, 2]
    first = json.loads(lines(tmp_path)[0])
    assert (first["run"], first["task"], first["dataset"]) == ("a", "train", "synthetic")
    assert first["patients"] and first["settings"] == "split=patient_kfold model=cellnet"


DAMAGE = [b"\xff\xfe no JSON\n", b'{"somebody": "else\'s"}\n', b"[" * 100_000 + b"\n", b'{"time": "20']


def test_what_cannot_be_read_is_said_and_kept_and_appended_to(record, tmp_path, caplog):
    record("a")
    path = tmp_path / "outputs" / LOG
    damaged = path.read_bytes() + b"".join(DAMAGE)
    path.write_bytes(damaged)
    found = record("b")
    assert (found.openings, found.unread) == (2, len(DAMAGE))
    assert "4 lines of the log cannot be read" in caplog.text
    assert path.read_bytes().startswith(damaged)
    # The half line of a process that was killed did not swallow the next one.
    assert (record("c").openings, record("c").unread) == (3, len(DAMAGE))


def test_a_log_that_cannot_be_written_stops_no_run(record, tmp_path, caplog):
    (tmp_path / "outputs" / LOG).mkdir(parents=True)
    found = record("a")
    assert found.openings is None and "is no file" in str(found) and "is no file" in caplog.text


def test_jobs_that_end_at_once_write_whole_lines(tmp_path):
    def work(number):
        access_log._append(tmp_path / LOG, opening(str(number), [f"patient {i}" for i in range(500)]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found, unread = access_log._append(tmp_path / LOG, opening("last"))
    assert unread == 0 and sorted(one.run for one in found) == sorted([*map(str, range(12)), "last"])
    assert asdict(replace(found[0], run="")) == asdict(opening("", [f"patient {i}" for i in range(500)]))
