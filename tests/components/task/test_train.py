import csv
import json
import logging
from types import SimpleNamespace

import keras
import pytest

from malaria_exp.components.logger.csv import CsvLogger
from malaria_exp.config.run_config import Choice
from malaria_exp.data.split_manifest import Manifest
from malaria_exp.evaluation.predictions import read
from malaria_exp.runs import load_data, train_model
from malaria_exp.runs.saved_model import load_model
from malaria_exp.training import session
from malaria_exp.utils.errors import ConfigError, LeakError, RunFolderError


def test_a_run_leaves_every_file_it_promises(finished_run):
    expected = {
        "status.json",
        "config.yaml",
        "provenance.json",
        "split.csv",
        "history.csv",
        "predictions.csv",
        "metrics.json",
        "model.keras",
        "model.json",
        "ood.npz",
        "plots",
        "report.html",
        "patients.html",
        "fields.html",
        "run.log",
    }
    assert {path.name for path in finished_run.iterdir()} == expected
    assert {path.suffix for path in (finished_run / "plots").iterdir()} == {".png"}


def test_its_records_agree(finished_run):
    status, metrics, record = (json.loads((finished_run / f"{name}.json").read_text()) for name in ("status", "metrics", "provenance"))
    assert status["status"] == "done"
    assert {name: numbers["auc"] for name, numbers in status["headline"].items()} == {
        name: metrics["subsets"][name]["ranking"]["auc"]["value"] for name in ("val", "test")
    }
    assert status["leaky"] is False
    assert [entry["subset"] for entry in metrics["access_log"]] == ["val", "val", "val", "test"]
    assert record["split_hash"] == metrics["split_hash"] == Manifest.read(finished_run / "split.csv", "patient_holdout").hash
    assert record["packages"]["tensorflow"]


def test_every_cell_of_val_and_test_is_scored_and_no_other(finished_run):
    manifest = Manifest.read(finished_run / "split.csv", "patient_holdout")
    predictions = read(finished_run / "predictions.csv")
    held_out = {cell for subset in ("val", "test") for cell in manifest.cell_id[manifest.rows(subset)].tolist()}
    assert set(predictions.cell_id.tolist()) == held_out and len(predictions) == len(held_out)


def test_a_finished_folder_is_never_written_over(finished_run, run_task, tiny_cellnet):
    before = {path: path.stat().st_mtime_ns for path in finished_run.rglob("*")}
    with pytest.raises(RunFolderError, match="already holds files"):
        run_task(tiny_cellnet, finished_run)
    assert {path: path.stat().st_mtime_ns for path in finished_run.rglob("*")} == before


def test_a_leaking_manifest_stops_the_run_unless_allowed_and_is_stamped(finished_run, run_task, tiny_cellnet, tmp_path, caplog):
    with (finished_run / "split.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    moved = next(row for row in rows if row["subset"] == "train")
    moved["subset"] = "test"
    listed = tmp_path / "split.csv"
    with listed.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["cell_id", "subset"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    untrained = [item for item in tiny_cellnet if not item.startswith("trainer.")]
    overrides = [*untrained, "trainer=none", "split=by_manifest", f"split.path={listed}"]
    with pytest.raises(LeakError, match=moved["patient"]):
        run_task(overrides, tmp_path / "refused")
    status = json.loads((tmp_path / "refused" / "status.json").read_text())
    assert status["status"] == "failed" and moved["patient"] in status["reason"]
    assert not (tmp_path / "refused" / "model.keras").exists()
    # As the program sets it; without, nothing below a warning reaches run.log.
    caplog.set_level(logging.INFO, logger="malaria_exp")
    folder = run_task([*overrides, "allow_leak=true"], tmp_path / "allowed")
    assert json.loads((folder / "metrics.json").read_text())["leaky"] is True
    assert "LEAKY" in (folder / "report.html").read_text() and "LEAKY" in (folder / "run.log").read_text()


def test_a_model_that_cannot_be_built_is_a_message(run_task, tiny, tmp_path, monkeypatch):
    # As a model of the user's own that does not check its sizes first.
    monkeypatch.setattr("malaria_exp.components.model._lenet_parameters.LeNetParameters.__post_init__", lambda sizes: None)
    with pytest.raises(ConfigError, match="lenet_sequential.*cannot be built"):
        run_task([*tiny, "model=lenet_sequential", "model.kernel_size=31"], tmp_path / "run")


@pytest.mark.parametrize(("built", "what"), [("a text", r"built 'a text' \(str\)"), ("maps", r"outputs of shape \(None, 30, 30, 2\)")])
def test_a_model_that_gives_no_logits_is_a_message(monkeypatch, built, what):
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(2, 3)]) if built == "maps" else built
    monkeypatch.setattr(train_model, "build", lambda group, name, params: model)
    config = SimpleNamespace(one=lambda group: Choice(group, "mine", {}, group))
    with pytest.raises(ConfigError, match=rf"model: 'mine' .*{what}.*expected a Keras model that gives logits, \(B, 1\)"):
        train_model.build_model(config)


def test_a_model_without_a_size_is_a_message(monkeypatch):
    monkeypatch.setattr(load_data, "check_params", lambda group, name, params: {"width": 3})
    config = SimpleNamespace(one=lambda group: Choice(group, "mine", {}, group))
    with pytest.raises(ConfigError, match="model: 'mine' has no key image_size"):
        load_data.resize_rule(config)


def test_neither_a_failing_logger_nor_a_monitor_that_is_undefined_throughout_stops_a_run(run_task, tiny_cellnet, tmp_path, monkeypatch):
    """Undefined as the MCC of a model that predicts the same class for every cell, in every epoch."""

    def fail(self, axis, number, values):
        raise OSError("disk full")

    plain = session.validation_row
    monkeypatch.setattr(CsvLogger, "scalars", fail)
    monkeypatch.setattr(session, "validation_row", lambda *about: plain(*about) | {"val_mcc": float("nan")})
    folder = run_task([*tiny_cellnet, "trainer.monitor=val_mcc", "trainer.epochs=2"], tmp_path / "run")
    status = json.loads((folder / "status.json").read_text())
    assert (status["status"], status["objective"]) == ("done", None)
    assert "disk full" in (folder / "run.log").read_text() and (folder / "plots" / "training_curves.png").exists()
    assert json.loads((folder / "metrics.json").read_text())["training"]["best_epoch"] == 2
    assert "val_mcc was undefined in every epoch" in (folder / "report.html").read_text()


def test_its_detector_is_saved_and_counts_the_test_cells_it_warns_of(finished_run):
    metrics = json.loads((finished_run / "metrics.json").read_text())
    detector = load_model(finished_run).detector
    assert (metrics["ood"]["name"], metrics["ood"]["false_warnings"]) == ("mahalanobis", detector.false_warnings)
    assert "ood" not in metrics["subsets"]["val"]
    found = metrics["subsets"]["test"]["ood"]
    sizes = {row["patient"]: row["cells"] for row in metrics["subsets"]["test"]["per_patient"]}
    assert found["patients"].keys() == sizes.keys() and [part.words for part in detector.parts] == list(found["parts"])
    warned = sum(fraction * sizes[name] for name, fraction in found["patients"].items())
    assert found["warned"] == pytest.approx(warned / sum(sizes.values())) and 0 <= found["warned"] < 1
    assert f"{found['warned']:.1%} of the test cells do not look like the training data" in (finished_run / "report.html").read_text()
