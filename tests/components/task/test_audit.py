"""The audit of labels: what it ranks, what it writes for training, and what it refuses."""

import csv
import json
import shutil

import numpy as np
import pytest

from malaria_exp.config.registry import build
from malaria_exp.data.write_sample import write_sample
from malaria_exp.runs.audit_files import DROPPED, RANKING, RELABELED, WEIGHTED
from malaria_exp.utils.errors import ConfigError, RunFolderError

FOLDS = 2


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """A folder of image files of synthetic cells."""
    folder = tmp_path_factory.mktemp("audit") / "cells"
    table = build("dataset", "synthetic", {"infected_patients": 8, "healthy_patients": 3, "cells_per_patient": 8, "cell_size": 40})
    folder.mkdir()
    write_sample(table, folder, None, 0)
    return folder


@pytest.fixture(scope="module")
def folds(cells, run_task, tiny_cellnet, tmp_path_factory):
    """Two of three folds of an untrained model: nothing here asks how good it is."""
    own = [item for item in tiny_cellnet if not item.startswith(("dataset.", "trainer."))]
    where = ["dataset=folder", f"dataset.path={cells}"]
    shared = [*own, *where, "trainer=none", "split=patient_kfold", "split.k=3", "calibration=none", "sampling=hard_examples"]
    root = tmp_path_factory.mktemp("folds")
    return [run_task([*shared, f"split.fold={fold}"], root / f"fold{fold}") for fold in range(FOLDS)]


@pytest.fixture(scope="module")
def audited(folds, run_task, tmp_path_factory):
    runs = json.dumps([str(run) for run in folds])
    return run_task(["task=audit", f"runs={runs}", "task.cells=4", "task.neighbors=2"], tmp_path_factory.mktemp("audits") / "audit")


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_test_cells_of_the_folds_are_ranked_from_the_most_contradicted_on(audited, folds):
    rows = rows_of(audited / RANKING)
    tested = {row["cell_id"] for run in folds for row in rows_of(run / "predictions.csv") if row["subset"] == "test"}
    assert {row["cell_id"] for row in rows} == tested
    scores = [float(row["label_score"]) for row in rows]
    assert scores == sorted(scores) and [int(row["rank"]) for row in rows] == list(range(1, len(rows) + 1))
    status = json.loads((audited / "status.json").read_text())
    assert status["cells"] == len(rows) and status["contradicted"] == sum(row["contradicted"] == "yes" for row in rows)
    opened = [json.loads(line) for line in (audited.parent / "test_access_log.jsonl").read_text().splitlines()]
    assert [one["task"] for one in opened] == ["audit"] and set(opened[0]["patients"]) == {row["patient"] for row in rows}


def test_its_lists_are_read_back(audited, cells, folds):
    ranking = {row["file"]: row for row in rows_of(audited / RANKING)}
    contradicted = {file for file, row in ranking.items() if row["contradicted"] == "yes"}
    before = build("dataset", "folder", {"path": str(cells)})
    given = dict(zip(before.file.tolist(), before.label.tolist(), strict=True))
    for name in (WEIGHTED, DROPPED, RELABELED):
        table = build("dataset", "folder", {"path": str(cells), "csv": str(audited / name)})
        label = dict(zip(table.file.tolist(), table.label.tolist(), strict=True))
        assert set(label) == set(given) - (contradicted if name == DROPPED else set())
        changed = {file for file in label if label[file] != given[file]}
        assert changed == (contradicted if name == RELABELED else set())
        assert set(table.patient.tolist()) <= set(before.patient.tolist())
        if name == WEIGHTED:
            weight = np.ones(len(table)) if table.weight is None else table.weight
            expected = [float(ranking[file]["weight"]) if file in ranking else 1 for file in table.file.tolist()]
            assert weight == pytest.approx(expected, abs=1e-3)


def test_the_page_shows_cells_of_both_classes_beside_others(audited):
    page = (audited / "audit.html").read_text(encoding="utf-8")
    assert (
        "sampling=hard_examples" in page
        and "weighted.csv" in page
        and "INCOMPLETE: fold 2 of 3 is missing" in page
        and "keep label and weight" in page
    )
    assert page.count('class="doubtful"') == 8
    assert page.count("data:image/jpeg") == 8 * 5
    assert "http" not in page.replace("http-equiv", "")


def test_what_cannot_be_audited_is_refused(run_task, folds, finished_run, tmp_path):
    with pytest.raises(ConfigError, match=r"^runs: missing; task=audit needs runs"):
        run_task(["task=audit"], tmp_path / "none")
    with pytest.raises(RunFolderError, match=r"^runs: expected the finished folds of one configuration; received none.*patient_kfold"):
        run_task(["task=audit", f"runs=[{finished_run}]"], tmp_path / "one")
    for fold in folds:
        shutil.copytree(fold, tmp_path / "leaky" / fold.name)
    status = tmp_path / "leaky" / folds[1].name / "status.json"
    status.write_text(json.dumps(json.loads(status.read_text()) | {"leaky": True}))
    with pytest.raises(RunFolderError, match=r"^runs: LEAKY: fold1\. A model that has seen a cell's patient repeats that cell's label"):
        run_task(["task=audit", f"runs={tmp_path}/leaky"], tmp_path / "audit")
    assert not (tmp_path / "audit" / "audit.html").exists()
