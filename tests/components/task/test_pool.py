"""Folds and seeds as one result: what is joined, what is averaged, what counts once, and what is refused."""

import csv
import json
import statistics

import numpy as np
import pytest
from conftest import compose_app
from omegaconf import OmegaConf
from PIL import Image
from pool_runs import FOLDS, PATIENTS, write_run
from sklearn.metrics import roc_auc_score

from malaria_exp.evaluation.predictions import read
from malaria_exp.evaluation.repetitions import over_splits
from malaria_exp.utils.errors import ConfigError, DataError, RunFolderError


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    text = compose_app(["split=patient_kfold"], tmp_path_factory.mktemp("none")).config_text
    return OmegaConf.to_container(OmegaConf.create(text))


@pytest.fixture
def make(config, tmp_path):
    """make(name, fold=0, ...) -> folder of a run."""
    return lambda name, **settings: write_run(tmp_path / name, config, **settings)


@pytest.fixture
def pooled(run_task, tmp_path):
    """pooled(runs, ...) -> folder of task=pool."""

    def pool(runs, name="pooled", *more):
        return run_task(["task=pool", f"runs={json.dumps([str(run) for run in runs])}", "evaluation.resamples=20", *more], tmp_path / name)

    return pool


def metrics_of(folder):
    return json.loads((folder / "metrics.json").read_text())


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_folds_are_joined_and_every_patient_counts_once(make, pooled):
    runs = [make(f"fold{fold}", fold=fold) for fold in range(FOLDS)]
    (runs[1] / "patients.html").write_text("<p>cells")
    folder = pooled(runs)
    parts, joined = [read(run / "predictions.csv").select("test") for run in runs], read(folder / "predictions.csv")
    assert joined.subsets == ("test",)
    assert len(np.unique(joined.patient)) == PATIENTS
    assert joined.score.tolist() == np.concatenate([part.score for part in parts]).tolist()
    extra = rows_of(folder / "predictions.csv")
    assert [(row["run"], row["fold"]) for row in extra[:: len(parts[0])]] == [("fold0", "0"), ("fold1", "1"), ("fold2", "2")]
    metrics = metrics_of(folder)
    test = metrics["subsets"]["test"]
    assert test["ranking"]["auc"]["value"] == pytest.approx(roc_auc_score(joined.label, joined.score))
    assert test["ranking"]["auc"]["low"] < test["ranking"]["auc"]["value"] < test["ranking"]["auc"]["high"]
    assert len(test["per_patient"]) == test["counted"]["patients"] == PATIENTS
    # Each fold's cells are predicted at its own threshold, .4, .5 and .6.
    for name in ("fixed", "target_sensitivity"):
        for count in ("tp", "fp", "tn", "fn"):
            assert test["at"][name][count] == sum(metrics_of(run)["subsets"]["test"]["at"][name][count] for run in runs)
            assert test["at"][name][count] == sum(row["at"][name][count] for row in test["per_patient"])
    fractions, first = test["patient_level"]["fractions"], next(iter(test["at"]))
    predicted = [(row["at"][first]["tp"] + row["at"][first]["fp"]) / row["cells"] for row in test["per_patient"]]
    assert [row["predicted"] for row in fractions] == pytest.approx(predicted)
    threshold = metrics["thresholds"]["target_sensitivity"]
    assert (threshold["value"], threshold["chance"]) == (pytest.approx(0.5), pytest.approx(0.6))
    assert threshold["rule"] == "each run's own, 0.400 to 0.600: the largest"
    page = (folder / "report.html").read_text()
    assert "Folds and seeds one by one" in page
    assert all(f"../fold{fold}/report.html" in page for fold in range(FOLDS))
    fields = (folder / "fields.html").read_text()
    assert fields.count("<section>") == PATIENTS and fields.count(' title="cell ') == len(joined) and 'href="fields.html"' in page
    # Cells are shown by the runs that tested them.
    assert page.count('href="../fold1/patients.html#patient-') == len(np.unique(parts[1].patient)) and "../fold0/patients.html" not in page
    assert metrics["pooled"]["what"] == "3 folds"
    status = json.loads((folder / "status.json").read_text())
    assert (status["status"], status["headline"]["test"]["patients"], status["report"]) == ("done", PATIENTS, "report.html")


def test_missing_folds_are_said_and_leaky_spreads(make, pooled, tmp_path, caplog):
    runs = [make("fold0", fold=0), make("fold2", fold=2, leaky=True), make("fold1", fold=1)]
    (tmp_path / "fold1" / "status.json").write_text(json.dumps({"task": "train", "status": "failed", "reason": "the disk <was> full"}))
    folder = pooled(runs)
    metrics = metrics_of(folder)
    assert "INCOMPLETE: fold 1 of 3 is missing" in caplog.text
    assert "Without results: fold1 (failed: the disk <was> full)" in caplog.text
    assert metrics["leaky"]
    assert metrics["subsets"]["test"]["counted"]["patients"] == PATIENTS * 2 // 3
    page = (folder / "report.html").read_text()
    assert "INCOMPLETE" in page
    assert "the disk &lt;was&gt; full" in page
    assert "<title>LEAKY" in page
    assert all(row["leaky"] == "true" for row in rows_of(folder / "table.csv"))


def test_seeds_are_averaged_and_a_repeated_one_counts_once(make, pooled, caplog):
    runs = [make(f"s{seed}", seed=seed) for seed in range(3)]
    runs.append(make("again", seed=1, changes={"cache.workers": 3}))
    folder = pooled(runs)
    assert "Repeated runs: again." in caplog.text
    values = [metrics_of(run)["subsets"]["test"]["ranking"]["auc"]["value"] for run in runs[:3]]
    metrics = metrics_of(folder)
    auc = metrics["subsets"]["test"]["ranking"]["auc"]
    assert auc["value"] == pytest.approx(statistics.mean(values))
    assert auc["sd"] == pytest.approx(statistics.stdev(values))
    assert (metrics["pooled"]["what"], metrics["pooled"]["runs"]) == ("3 seeds", ["s0", "s1", "s2"])
    assert "widened by the variance between trainings" in metrics["interval"]["method"]
    (row,) = [row for row in rows_of(folder / "table.csv") if row["metric"] == "auc"]
    assert float(row["sd"]) == auc["sd"]


def test_folds_with_a_seed_each_are_one_repetition_and_those_of_several_seeds_are_several(make, pooled):
    each = [make(f"e{fold}", fold=fold, seed=fold) for fold in range(FOLDS)]
    assert metrics_of(pooled(each, "each"))["pooled"]["repetitions"] == 1
    crossed = [make(f"c{seed}{fold}", fold=fold, seed=seed) for seed in range(2) for fold in range(FOLDS)]
    folder = pooled(crossed, "crossed")
    assert (metrics_of(folder)["pooled"]["what"], metrics_of(folder)["pooled"]["repetitions"]) == ("2 x 3 folds", 2)
    joined = [np.concatenate([read(run / "predictions.csv").select("test").score for run in runs]) for runs in (crossed[:3], crossed[3:])]
    labels = read(folder / "predictions.csv").label
    assert metrics_of(folder)["subsets"]["test"]["ranking"]["auc"]["value"] == pytest.approx(
        np.mean([roc_auc_score(labels, one) for one in joined])
    )
    # A repetition that lacks a fold does not count beside a whole one.
    metrics = metrics_of(pooled(crossed[:-1], "less"))
    assert (metrics["pooled"]["what"], metrics["subsets"]["test"]["counted"]["patients"]) == ("3 folds", PATIENTS)
    assert "Not counted: the repetition of seed 1" in metrics["pooled"]["notes"][0]


def test_repeated_k_fold_has_the_corrected_resampled_t(make, pooled):
    runs = [make(f"{split}{fold}", fold=fold, split_seed=split) for split in range(2) for fold in range(FOLDS)]
    metrics = metrics_of(pooled(runs))
    found = metrics["subsets"]["test"]["at"]["fixed"]["specificity"]
    values = [metrics_of(run)["subsets"]["test"]["at"]["fixed"]["specificity"]["value"] for run in runs]
    expected = over_splits("specificity", found["value"], values, 1 / (FOLDS - 1), 0.95)
    assert (found["low"], found["high"], found["sd"]) == pytest.approx((expected["low"], expected["high"], expected["sd"]))
    assert "Nadeau and Bengio 2003" in metrics["interval"]["method"]


def test_each_configuration_has_a_result_and_all_have_one_table(make, pooled, run_task, tmp_path):
    runs = [make(f"{loss}/{fold}", fold=fold, changes={"loss.name": loss}) for loss in ("bce", "a|b_&") for fold in range(FOLDS)]
    folder = pooled([*runs, make("alone", changes={"batch_size": 7})])
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["1-loss-bce", "2-loss-a-b"]
    assert all((path / "report.html").exists() for path in folder.iterdir() if path.is_dir())
    assert {row["configuration"] for row in rows_of(folder / "table.csv")} == {"loss=bce", "loss=a|b_&"}
    assert r"| loss=a\|b\_& | AUC |" in (folder / "table.md").read_text()
    assert r"loss=a\textbar{}b\_\& & AUC &" in (folder / "table.tex").read_text()
    assert json.loads((folder / "status.json").read_text())["configurations"] == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fold": 1, "data_hash": "other"}, "different data .*\n  one: data one\n  two: data other"),
        (
            {"fold": 1, "split_seed": 1, "changes": {"split.seed": 0}},
            "'one' and 'two' are folds of one split .* both tested . patients, among them P",
        ),
        ({"changes": {"batch_size": 7}}, "nothing to pool"),
    ],
)
def test_what_does_not_fit_together_is_refused(make, pooled, tmp_path, settings, message):
    runs = [make("one"), make("two", **settings)]
    with pytest.raises(RunFolderError, match=message):
        pooled(runs)
    assert not (tmp_path / "pooled").exists()


def test_sealed_unreadable_and_other_runs_are_refused(make, pooled, tmp_path):
    runs = [make("one"), make("two", seed=1)]
    metrics = metrics_of(runs[1])
    sealed = metrics | {"subsets": {"val": metrics["subsets"]["val"]}}
    (runs[1] / "metrics.json").write_text(json.dumps(sealed))
    with pytest.raises(RunFolderError, match=r"'two' has not opened its test subset \(evaluation.test=false\)"):
        pooled(runs, "sealed")
    (runs[1] / "metrics.json").write_text("{")
    with pytest.raises(RunFolderError, match="nothing to pool.*\n  one: done\n  two: unreadable"):
        pooled(runs, "unreadable")
    (runs[1] / "metrics.json").write_text(json.dumps(metrics))
    (runs[1] / "predictions.csv").write_text("cell_id,patient\n")
    with pytest.raises(RunFolderError, match="predictions.csv"):
        pooled(runs, "damaged")
    (runs[1] / "status.json").write_text(json.dumps({"task": "explore", "status": "done"}))
    with pytest.raises(RunFolderError, match="'two' is a run of task=explore"):
        pooled(runs, "other")
    with pytest.raises(ConfigError, match="runs: missing; task=pool needs runs"):
        pooled([])
    assert not (tmp_path / "damaged").exists()


def test_the_pooled_result_has_the_chapters_and_the_shortcut_baseline_of_all_folds(make, pooled):
    runs = [make(f"fold{fold}", fold=fold) for fold in range(FOLDS)]
    without = metrics_of(pooled(runs, "without"))["subsets"]["test"]
    assert without["shortcut"]["auc"] is None
    assert "not all runs have a shortcut baseline" in without["shortcut"]["reason"]
    for run in runs:
        predictions = read(run / "predictions.csv")
        predictions.write(run / "predictions.csv", {"shortcut_score": np.array([repr(score) for score in predictions.score.tolist()])})
    folder = pooled(runs)
    test = metrics_of(folder)["subsets"]["test"]
    assert test["shortcut"]["auc"]["value"] == test["ranking"]["auc"]["value"]
    assert [float(row["shortcut_score"]) for row in rows_of(folder / "predictions.csv")] == read(folder / "predictions.csv").score.tolist()
    first = test["at"]["fixed"]
    assert test["risk_coverage"]["rows"][0]["missed"] == first["fn"]
    assert test["subgroups"][0]["sensitivity"]["value"] == first["sensitivity"]["value"]
    # The bound is chosen for each fold on the tested patients of the others.
    assert {row["alpha"]: row["threshold"] for row in test["conformal"]} == {0.05: None, 0.1: None}
    report = (folder / "report.html").read_text()
    for text in ("For whom it is better or worse", "What it is good for", "Error against coverage", "From the files alone"):
        assert text in report


def test_columns_of_the_users_csv_are_subgroups_of_the_pooled_result(make, pooled):
    runs = [make(f"fold{fold}", fold=fold) for fold in range(FOLDS)]
    for run in runs:
        predictions = read(run / "predictions.csv")
        predictions.write(run / "predictions.csv", {"subgroup_site": np.where(predictions.patient < "P06", "north", "south")})
    folder = pooled(runs)
    rows = [row for row in metrics_of(folder)["subsets"]["test"]["subgroups"] if row["title"] == "Column site"]
    assert [(row["group"], row["patients"]) for row in rows] == [("north", 6), ("south", 6)]
    assert {(row["patient"] < "P06", row["subgroup_site"]) for row in rows_of(folder / "predictions.csv")} == {
        (True, "north"),
        (False, "south"),
    }
    with pytest.raises(RunFolderError, match=r"'sit': 'fold0' was trained without it.* Did you mean 'site'\?"):
        pooled(runs, "other", "evaluation.subgroups=[sit]")


def test_columns_that_the_runs_have_not_kept_come_from_the_data_that_is_named(make, pooled, tmp_path):
    runs = [make(f"fold{fold}", fold=fold) for fold in range(FOLDS)]
    parts = [read(run / "predictions.csv").select("test") for run in runs]
    cells = sorted({cell: one for part in parts for cell, *one in zip(part.cell_id, part.patient, part.label, strict=True)}.items())
    lines = ["file,patient,stain"]
    for number, (cell, (patient, label)) in enumerate(cells):
        file = tmp_path / "cells" / ("Parasitized" if label else "Uninfected") / f"{cell}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (8, 8, 3), np.uint8)).save(file)
        lines.append(f"{file.parent.name}/{file.name},{patient},{'Field' if patient < 'P04' else 'Giemsa'}")
    (tmp_path / "cells.csv").write_text("\n".join(lines))
    data = ("dataset=folder", f"dataset.path={tmp_path / 'cells'}", f"dataset.csv={tmp_path / 'cells.csv'}")
    folder = pooled(runs, "stains", "evaluation.subgroups=[stain]", *data)
    rows = [row for row in metrics_of(folder)["subsets"]["test"]["subgroups"] if row["title"] == "Column stain"]
    assert [(row["group"], row["patients"]) for row in rows] == [("Field", 4), ("Giemsa", 8)]
    with pytest.raises(DataError, match=r"'satin': the dataset 'folder' has no such column.* Did you mean 'stain'\?"):
        pooled(runs, "other", "evaluation.subgroups=[satin]", *data)
