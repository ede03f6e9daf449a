"""The end of a multirun of parts: its jobs become what one job writes, to the byte, or it is said why not."""

import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import compose_app, png_bytes
from fake_model import FakeModel
from fallible_cells import contents

from malaria_exp.config.registry import build
from malaria_exp.data.shards.format import MARKER
from malaria_exp.deployment import join_parts, open_model
from malaria_exp.sweeps.multirun_join import JOINED, join_jobs

PARTS = 3


@pytest.fixture
def multirun(tmp_path, run_task, monkeypatch):
    """The folder of a multirun of three parts, beside one job that did all: in `whole`."""
    for name in ("cells", "run"):
        (tmp_path / name).mkdir()
    for number in range(10):
        (tmp_path / "cells" / f"{number}.png").write_bytes(png_bytes(np.full((6, 6, 3), number * 9, np.uint8)))
    model = FakeModel(tmp_path / "run")
    monkeypatch.setattr(open_model, "open_model", lambda source, **_: model)
    monkeypatch.setattr(join_parts, "read_facts", lambda source: model.facts)
    base = ["task=predict", f"run={tmp_path / 'run'}", f"images={tmp_path / 'cells'}", "task.patients=one", "evaluation.batch_size=2"]
    run_task(base, tmp_path / "whole")
    for part in range(PARTS):
        run_task([*base, f"task.parts={PARTS}", f"task.part={part}"], tmp_path / "multirun" / str(part))
    return tmp_path / "multirun"


def jobs(folder, *statuses):
    overrides = [json.loads((folder / str(part) / "status.json").read_text())["overrides"] for part in range(PARTS)]
    return [(str(part), status, own) for part, (status, own) in enumerate(zip(statuses, overrides, strict=True))]


def test_parts_are_joined_as_one_job_writes_them(multirun, caplog):
    join_jobs(multirun, jobs(multirun, "done", "failed", "done"))
    assert not (multirun / JOINED).exists() and "jobs did not end well: 1" in caplog.text
    for _ in range(2):
        join_jobs(multirun, jobs(multirun, "done", "done", "done"))
        for name in ("predictions.csv", "patients.csv", "report.html", "summary.json"):
            assert (multirun / JOINED / name).read_bytes() == (multirun.parent / "whole" / name).read_bytes(), name
    # Another image has come since.
    (multirun.parent / "cells" / "new.png").write_bytes(b"")
    join_jobs(multirun, jobs(multirun, "done", "done", "done"))
    assert "has predictions of 10 images where 11 are there now" in caplog.text and not (multirun / JOINED).exists()


def test_shards_that_jobs_shared_are_finished_as_one_job_finishes_them(run_task, tiny_cellnet, tmp_path, caplog):
    base = ["task=prepare", *tiny_cellnet, "task.size=96", "task.shard_mb=1"]
    run_task([*base, f"task.to={tmp_path / 'whole'}"], tmp_path)
    own = [*base, f"task.to={tmp_path / 'set'}", "task.parts=2"]
    for part in range(2):
        # As a job of a multirun.
        app = replace(compose_app([*own, f"task.part={part}"], tmp_path / "multirun" / str(part)), may_resume=True)
        build("task", "prepare", app.config.one("task").params, app)
    done = [(str(part), "done", [*own, f"task.part={part}"]) for part in range(2)]
    join_jobs(tmp_path / "multirun", done[1:])
    assert "of the 2 parts, 0 are not in this multirun" in caplog.text and not (tmp_path / "set" / MARKER).exists()
    join_jobs(tmp_path / "multirun", done)
    assert contents(tmp_path / "set") == contents(tmp_path / "whole") and len(contents(tmp_path / "set")) > 1 + 2
    assert not (tmp_path / "multirun" / JOINED).exists()


def test_other_multiruns_are_left_alone(tmp_path):
    join_jobs(tmp_path, [("0", "done", ["seed=0"]), ("1", "done", ["task=predict", "run=a"])])
    assert not list(tmp_path.iterdir())
