"""The end of a multirun of folds: its jobs become one result, or it is said why not."""

import json

import pytest
from conftest import compose_app
from omegaconf import OmegaConf
from pool_runs import FOLDS, PATIENTS, write_run

from malaria_exp.evaluation.plots import run_figures
from malaria_exp.sweeps import multirun_pool
from malaria_exp.sweeps.multirun_pool import pool_jobs


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A multirun of all folds."""
    monkeypatch.setattr(run_figures, "draw_plots", lambda *_, **__: {})
    text = compose_app(["split=patient_kfold", "evaluation.resamples=20"], tmp_path).config_text
    for fold in range(FOLDS):
        write_run(tmp_path / "multirun-x" / str(fold), OmegaConf.to_container(OmegaConf.create(text)), fold=fold)
    return tmp_path / "multirun-x"


def jobs(*statuses, more=()):
    return [(str(fold), status, [f"split.fold={fold}", *more]) for fold, status in enumerate(statuses)]


def patients(folder):
    return json.loads((folder / "pooled" / "metrics.json").read_text())["subsets"]["test"]["counted"]["patients"]


def test_folds_are_pooled_and_pooled_anew_when_the_multirun_went_on(folder, caplog):
    last = folder / "2" / "status.json"
    done = last.read_text()
    last.write_text(json.dumps({"status": "failed", "reason": "no more memory"}))
    pool_jobs(folder, jobs("done", "done", "failed"))
    assert patients(folder) == PATIENTS * 2 // 3
    assert "INCOMPLETE: fold 2 of 3 is missing" in caplog.text
    assert "multirun-x/2 (failed: no more memory)" in caplog.text
    last.write_text(done)
    pool_jobs(folder, jobs("done", "done", "done"))
    assert patients(folder) == PATIENTS
    assert {"table.csv", "table.md", "table.tex", "report.html", "predictions.csv"} <= {path.name for path in (folder / "pooled").iterdir()}
    assert f"task=pool runs={folder}" in (folder / "pooled" / "report.html").read_text()
    assert "../0/report.html" in (folder / "pooled" / "report.html").read_text()
    assert not list(folder.glob(".*"))


def test_a_multirun_that_was_stopped_has_no_result_not_even_an_old_one(folder, caplog):
    (folder / "pooled").mkdir()
    pool_jobs(folder, jobs("done", "done", "interrupted"))
    assert not (folder / "pooled").exists()
    assert "not made, as jobs have not ended: 2. It is made when resume=true has run them" in caplog.text


def test_what_prevents_it_is_said_and_ends_nothing(folder, caplog, monkeypatch):
    provenance = folder / "1" / "provenance.json"
    known = provenance.read_text()
    provenance.write_text(json.dumps({"data_hash": "other"}))
    pool_jobs(folder, jobs("done", "done", "done"))
    assert "not made: runs: runs of one configuration were made of different data" in caplog.text
    provenance.write_text(known)
    pool_jobs(folder, jobs("done", "done", "done", more=["evaluation.test=false"]))
    monkeypatch.setattr(multirun_pool, "MOST_CONFIGURATIONS", 0)
    pool_jobs(folder, jobs("done", "done", "done"))
    monkeypatch.setattr(multirun_pool, "read_runs", lambda _: 1 / 0)
    monkeypatch.setattr(multirun_pool, "MOST_CONFIGURATIONS", 1)
    pool_jobs(folder, jobs("done", "done", "done"))
    assert "belong into a bug report" in caplog.text
    assert not (folder / "pooled").exists()


def test_jobs_that_differ_in_more_than_folds_and_seeds_are_no_concern_of_it(folder, caplog):
    pool_jobs(folder, [(name, status, [*overrides, f"batch_size={name}"]) for name, status, overrides in jobs("done", "done", "done")])
    assert not (folder / "pooled").exists()
    assert not caplog.text
