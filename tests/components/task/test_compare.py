"""Comparing runs: which are found, what is said of them, and what cannot be compared. The page in a browser: test_compare_page.py."""

import csv
import json
import math
import re
import statistics
from unittest import mock

import numpy as np
import pytest

from malaria_exp.evaluation.plots import style
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.reports.comparison import curves, difference_elements
from malaria_exp.utils.errors import ConfigError, RunFolderError


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def compared(run_task, tmp_path):
    """compared(runs) -> folder of the comparison; its plots are drawn, but not turned into PNGs."""
    picture = style.png_bytes(style.new_figure(leaky=False, size=(1, 1)))

    def compare(runs, name="comparison", *overrides):
        drawn = [mock.patch.object(module, "png_bytes", lambda figure: picture) for module in (curves, difference_elements)]
        with drawn[0], drawn[1]:
            return run_task(["task=compare", f"runs={json.dumps([str(run) for run in runs])}", *overrides], tmp_path / name)

    return compare


def test_seeds_are_one_configuration(copy_run, compared):
    auc = {("bce", 0): 0.9, ("bce", 1): 0.8, ("bce", 2): 0.85, ("focal", 0): 0.7}
    runs = [copy_run(f"{loss}{seed}", {"seed": seed, "loss.name": loss}, auc=value) for (loss, seed), value in auc.items()]
    folder = compared(runs)
    first, second = rows_of(folder / "configurations.csv")
    assert (first["configuration"], first["runs"], first["auc_n"]) == ("loss=bce", "bce0 bce1 bce2", "3")
    assert float(first["auc_mean"]) == pytest.approx(0.85)
    assert float(first["auc_sd"]) == pytest.approx(statistics.stdev([0.9, 0.8, 0.85]))
    assert (first["auc_min"], first["auc_max"]) == ("0.8", "0.9")
    assert (second["configuration"], second["auc_n"], second["auc_sd"]) == ("loss=focal", "1", "")
    assert [(row["run"], row["loss"], row["seed"]) for row in rows_of(folder / "runs.csv")][2:] == [
        ("bce2", "bce", "2"),
        ("focal0", "focal", "0"),
    ]
    status = json.loads((folder / "status.json").read_text())
    assert (status["status"], status["runs"], status["configurations"], status["report"]) == ("done", 4, 2, "compare.html")


def test_a_run_that_repeats_another_is_no_further_seed(copy_run, compared, caplog):
    other_cells = {"split": "cell_id,label,patient,slide,field,content,subset\na,parasitized,P,S,F,c,test\n", "split_hash": "other"}
    first, second = copy_run("first", auc=0.9), copy_run("second", {"seed": 1}, auc=0.8)
    again, elsewhere = copy_run("again", {"cache.root": "/elsewhere"}, auc=0.9), copy_run("elsewhere", auc=0.7, **other_cells)
    folder = compared([first, second, again, elsewhere])
    (row,) = rows_of(folder / "configurations.csv")
    assert (row["runs"], row["auc_n"], row["finished"]) == ("first second again elsewhere", "3", "3")
    assert float(row["auc_mean"]) == pytest.approx(0.8)
    assert "Repeated runs: again. Another of the same configuration, seed and test cells" in caplog.text


def test_seeds_folds_loggers_and_folders_make_no_other_configuration_and_a_loss_does(copy_run, compared):
    elsewhere = {"cache.root": "/elsewhere", "seed": 1, "logger.jsonl": {}}
    runs = [copy_run("a", {"split.seed": 0}), copy_run("b", {"split.seed": 1}), copy_run("c", elsewhere), copy_run("d", {"split.fold": 1})]
    runs.append(copy_run("e", {"loss.name": "focal"}))
    assert [row["runs"] for row in rows_of(compared(runs) / "configurations.csv")] == ["a b c d", "e"]


def score_cells(run, right):
    """Gives a run predictions of ten cells of eight patients in val and test; in the first patients so many are right."""
    rows = [
        (
            f"{subset}{patient}-{cell}",
            f"P{patient}",
            f"S{patient}",
            cell % 2,
            0.5 + 0.1 * (cell % 2 - 0.5) * (1 if patient < right else -1),
            subset,
        )
        for subset in ("val", "test")
        for patient in range(8)
        for cell in range(10)
    ]
    Predictions(*map(np.array, zip(*rows, strict=True))).write(run / "predictions.csv")
    return run


def test_differences_are_on_the_page_on_the_terminal_and_in_a_file(copy_run, compared, capsys):
    runs = [score_cells(copy_run("first"), 6), score_cells(copy_run("second", {"loss.name": "focal"}), 8)]
    folder = compared(runs, "out", "task.metric=[accuracy,auc,brier]", "task.margin=0.02")
    rows = rows_of(folder / "comparisons.csv")
    assert [(row["model"], row["reference"], row["metric"], row["subset"], row["cells"], row["patients"]) for row in rows] == [
        ("loss=focal", "loss=bce", metric, "test", "80", "8") for metric in ("accuracy", "auc", "brier")
    ]
    accuracy = {key: float(rows[0][key]) for key in ("model_value", "reference_value", "difference", "margin")}
    assert accuracy == {"model_value": 1, "reference_value": 0.75, "difference": 0.25, "margin": 0.02}
    page, printed = (folder / "compare.html").read_text(), " ".join(capsys.readouterr().err.split())
    for verdict in {row["verdict"] for row in rows}:
        assert f">{verdict}<" in page
    assert "Accuracy +0.2500 (" in printed
    assert "Accuracy +0.2500 (" in page.partition('class="said"')[2].partition("</ul>")[0]
    assert (folder / "plots" / "differences.png").is_file()


def test_runs_whose_test_cells_are_sealed_are_compared_on_validation_and_the_page_says_so(copy_run, compared, caplog):
    first, sealed = score_cells(copy_run("first"), 6), score_cells(copy_run("sealed", {"loss.name": "focal"}), 6)
    metrics = json.loads((sealed / "metrics.json").read_text())
    del metrics["subsets"]["test"]
    (sealed / "metrics.json").write_text(json.dumps(metrics))
    (row,) = rows_of(compared([first, sealed]) / "comparisons.csv")
    assert (row["subset"], row["difference"], row["p"]) == ("val", "0.0", "1.0")
    assert "1 of 2 runs (sealed) left the test subset sealed" in caplog.text
    assert "Differences are tested on VALIDATION cells, of all runs" in caplog.text


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("task.reference=secnd", "task.reference: no run or configuration 'secnd' with results. Did you mean 'second'?"),
        ("task.metric=precison", "task.metric: "),
        ("task.margin=0", "task.margin: "),
    ],
)
def test_a_wrong_key_is_said_and_nothing_is_written(override, message, copy_run, compared, tmp_path):
    with pytest.raises(ConfigError, match=message):
        compared([copy_run("first"), copy_run("second", {"seed": 1})], "out", override)
    assert not (tmp_path / "out" / "compare.html").exists()


def test_only_what_differs_is_a_column_and_numbers_are_compared_as_numbers(copy_run, compared):
    runs = [copy_run("a", {"optimizer.learning_rate": 1}), copy_run("b", {"optimizer.learning_rate": 1.0, "loss.label_smoothing": 0.2})]
    header = list(rows_of(compared(runs) / "runs.csv")[0])
    assert header[:4] == ["run", "status", "leaky", "loss.label_smoothing"]
    assert "optimizer.learning_rate" not in header


def test_history_of_any_kind(copy_run, compared):
    """Without the file, with nan, with other columns, cut off in the middle of a row."""
    whole = copy_run("whole", history="epoch,loss,val_loss\n1,0.5,nan\n2,0.4,0.6\n")
    torn = copy_run("torn", {"seed": 1}, history="epoch,loss,val_loss,val_auc\n1,0.5,0.7,0.8\n2,0.4\n3,0.")
    (torn / "status.json").write_text(json.dumps({"task": "train", "status": "running"}))
    none = copy_run("none", {"trainer.name": "none"}, history=None)
    rows = rows_of(compared([whole, torn, none]) / "history.csv")
    values = {(row["run"], row["epoch"], row["column"]): float(row["value"]) for row in rows}
    assert math.isnan(values["whole", "1", "val_loss"])
    assert values["whole", "2", "val_loss"] == 0.6
    assert values["torn", "2", "loss"] == 0.4
    assert ("torn", "3", "loss") not in values
    assert math.isnan(values["torn", "2", "val_auc"])
    assert "none" not in {row["run"] for row in rows}


def test_runs_without_any_history_have_no_plots(copy_run, compared):
    nothing_drawn = copy_run("b", {"seed": 1}, history="epoch,other\n1,0.5\n")
    folder = compared([copy_run("a", history=None), nothing_drawn])
    assert not (folder / "plots").exists()
    assert "<img" not in (folder / "compare.html").read_text()


def test_jobs_that_failed_and_damaged_runs_are_listed_with_the_reason(copy_run, compared, tmp_path):
    for number in range(11):
        copy_run(f"multirun-x/{number}", {"seed": number})
    jobs = tmp_path / "multirun-x"
    refused = {"status": "failed", "overrides": ["model=vit"], "reason": "model.depth: expected a whole number"}
    (jobs / "3" / "config.yaml").unlink()
    (jobs / "3" / "status.json").write_text(json.dumps(refused))
    (jobs / "4" / "status.json").write_text(json.dumps({"task": "train", "status": "running"}))
    (jobs / "5" / "metrics.json").write_text("{")
    (jobs / "6" / "metrics.json").write_text('{"subsets": {"test": {}}}')
    (jobs / "7" / "status.json").write_text("{")
    (jobs / "8" / "status.json").write_text(json.dumps({"task": "explore", "status": "done"}))
    odd = json.loads((jobs / "9" / "metrics.json").read_text())
    odd["training"] |= {"monitor": ["val_auc"], "best_epoch": "two", "parameters": "many"}
    (jobs / "9" / "metrics.json").write_text(json.dumps(odd))
    folder = compared([jobs])
    rows = {row["run"]: row for row in rows_of(folder / "runs.csv")}
    assert list(rows) == [f"multirun-x/{number}" for number in (0, 1, 2, 3, 4, 5, 6, 7, 9, 10)]
    assert (rows["multirun-x/3"]["status"], rows["multirun-x/3"]["reason"]) == ("failed", "model.depth: expected a whole number")
    assert rows["multirun-x/4"]["status"] == "running"
    for number in (5, 6, 7, 9):
        assert rows[f"multirun-x/{number}"]["status"] == "unreadable"
        assert rows[f"multirun-x/{number}"]["auc"] == ""
    assert "training.monitor: expected text" in rows["multirun-x/9"]["reason"]
    page = (folder / "compare.html").read_text()
    assert "Without results: 6 of 10 runs" in page
    assert "model.depth: expected a whole number" in page


def test_the_comparison_itself_is_no_run(copy_run, run_task, tmp_path):
    copy_run("outputs/a")
    copy_run("outputs/multirun-x/0", {"seed": 1})
    folder = run_task(["task=compare", f"runs={tmp_path / 'outputs'}"], tmp_path / "outputs" / "comparison")
    assert [row["run"] for row in rows_of(folder / "runs.csv")] == ["a", "multirun-x/0"]


def test_patterns_and_the_same_run_twice(copy_run, compared, tmp_path):
    first = copy_run("a-1")
    copy_run("a-2", {"seed": 1})
    copy_run("b-1", {"seed": 2})
    assert [row["run"] for row in rows_of(compared([tmp_path / "a-*", first]) / "runs.csv")] == ["a-1", "a-2"]


def test_other_test_cells_are_said_and_other_training_cells_are_none(copy_run, compared):
    first = copy_run("a")
    split = (first / "split.csv").read_text()
    assert ",train\n" in split
    assert ",test\n" in split
    second = copy_run("b", {"seed": 1}, split=re.sub(r",train\n", ",val\n", split, count=1), split_hash="other training cells")
    folder = compared([first, second], "same")
    assert "not comparable" not in (folder / "compare.html").read_text()
    third = copy_run("c", {"seed": 2}, split=re.sub(r",test\n", ",val\n", split, count=1), split_hash="other test cells")
    folder = compared([first, second, third], "different")
    page = (folder / "compare.html").read_text()
    assert "These runs were tested on 2 different sets of cells: their numbers are not comparable cell by cell." in page
    sets = [row["test_set"] for row in rows_of(folder / "runs.csv")]
    assert sets[0] == sets[1] != sets[2]


def test_leaky_runs_are_stamped(copy_run, compared):
    clean, leaky = copy_run("clean"), copy_run("leaky", {"seed": 1}, leaky=True)
    page = (compared([clean, leaky], "some") / "compare.html").read_text()
    assert "LEAKY, 1 of 2 runs" in page
    assert page.count('<span class="stamp">LEAKY</span>') == 2  # the run, and its configuration
    assert 'role="alert"' not in page
    page = (compared([leaky], "all") / "compare.html").read_text()
    assert 'role="alert"' in page
    assert "<title>LEAKY: " in page


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ("[]", "runs: missing; task=compare needs runs"),
        ("''", "runs: missing; task=compare needs runs"),
        ("{tmp}/first-rum", "does not exist. Did you mean 'first-run'?"),
        ("{tmp}/first-run/status.json", "is a file; give its folder"),
        ("{tmp}/empty", "is no run and holds none"),
        ("'{tmp}/nothing-*'", "finds no run"),
        ("[1]", r"runs\[0\]: expected text"),
        ("https://example.org/run", "is a web address"),
    ],
)
def test_what_is_no_run_is_said(runs, message, copy_run, run_task, tmp_path):
    copy_run("first-run")
    (tmp_path / "empty").mkdir()
    with pytest.raises((ConfigError, RunFolderError), match=message):
        run_task(["task=compare", f"runs={runs.format(tmp=tmp_path)}"], tmp_path / "comparison")
    assert not (tmp_path / "comparison" / "compare.html").exists()


def test_runs_of_other_tasks_and_unfinished_ones_alone_are_refused(copy_run, compared, tmp_path):
    run = copy_run("a")
    (run / "status.json").write_text(json.dumps({"task": "explore", "status": "done"}))
    with pytest.raises(RunFolderError, match="'a' is a run of task=explore; only training runs"):
        compared([run], "one")
    (run / "status.json").write_text(json.dumps({"task": "train", "status": "failed", "reason": "no more disk"}))
    with pytest.raises(RunFolderError, match="no finished training run among them:\n  a: failed, no more disk"):
        compared([run], "two")
    assert not (tmp_path / "two").exists()
