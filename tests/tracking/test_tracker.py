import json
import logging
from contextlib import contextmanager
from unittest import mock

import numpy as np
import pytest
from conftest import compose_app

from malaria_exp.tracking.logger_interface import Logger
from malaria_exp.tracking.logger_queue import Loggers
from malaria_exp.tracking.result_tables import final_numbers, results_text
from malaria_exp.tracking.run_facts import describe_run, run_params
from malaria_exp.tracking.tracker import Tracker, open_tracker
from malaria_exp.utils.errors import ConfigError, UserError


class Everything(Logger):
    """Wants all there is and remembers it."""

    def __init__(self, wants=None):
        self.heard = []
        self.wants = (
            {"steps": 2, "figures": 1, "histograms": 2, "gradients": 2, "images": 1, "graph": 1, "untrained": 1} if wants is None else wants
        )

    def __getattribute__(self, name):
        if name in vars(Logger) and callable(getattr(Logger, name)) and not name.startswith("_"):
            return lambda *about: self.heard.append((name, *about))
        return super().__getattribute__(name)

    def of(self, event):
        return [about for name, *about in self.heard if name == event]


@contextmanager
def listening(logger):
    """Every run inside tells its loggers' events to this logger too."""
    with mock.patch("malaria_exp.tracking.tracker.Loggers", lambda loggers: Loggers({**loggers, "everything": logger})):
        yield logger


@pytest.fixture
def everything():
    with listening(Everything()) as logger:
        yield logger


RUN = ["trainer.epochs=2", "aug=[dihedral,mixup]", "optimizer.learning_rate=0.003"]


@pytest.fixture(scope="module")
def heard(run_task, tiny_cellnet, tmp_path_factory):
    """What a whole run of two epochs tells, and its folder."""
    with listening(Everything()) as logger:
        folder = run_task([*tiny_cellnet, *RUN], tmp_path_factory.mktemp("heard") / "run")
    return logger, folder


def test_a_run_tells_all_of_it_in_order(heard):
    logger, folder = heard
    events = [name for name, *_ in logger.heard]
    assert events[:4] == ["start", "hparams", "text", "artifact"] and events[-1] == "finish"
    assert logger.of("finish") == [["done", ""]]
    assert events.index("training") < events.index("graph") < events.index("scalars") < events.index("results")
    (run,) = logger.of("start")[0]
    assert (run.folder, run.group, run.job) == (folder, None, "train")
    assert run.config["optimizer"]["learning_rate"] == 0.003

    length, monitor = logger.of("training")[0]
    steps = [number for axis, number, _ in logger.of("scalars") if axis == "step"]
    assert steps == list(range(2, length.steps + 1, 2))
    assert monitor == "val_auc"
    rows = [values for axis, _, values in logger.of("scalars") if axis == "epoch"]
    assert [row["epoch"] for row in rows] == [1, 2]


def test_pictures_are_of_the_training_cells_and_of_a_batch_as_the_model_sees_it(heard):
    logger, _ = heard
    pictures = {name: (images, captions) for name, images, captions in logger.of("images")}
    assert set(pictures) == {"samples", "augmented_batch"}
    for images, captions in pictures.values():
        assert images.dtype == np.uint8 and images.shape[3] == 3 and len(images) == len(captions) > 0
        assert images.std() > 5
    assert pictures["samples"][1][0].startswith("parasitized, patient ")
    assert any(caption not in ("label 0.00", "label 1.00") for caption in pictures["augmented_batch"][1]), "MixUp mixes labels"


def test_figures_scores_and_histograms_come_when_they_are_wanted(heard):
    logger, folder = heard
    epochs = [(name, epoch) for name, png, epoch in logger.of("figure") if epoch is not None]
    assert epochs == [(name, epoch) for epoch in (1, 2) for name in ("val_confusion_matrix", "val_roc")]
    final = [name for name, _, epoch in logger.of("figure") if epoch is None]
    assert final == sorted(path.stem for path in (folder / "plots").glob("*.png"))
    assert [(subset, epoch) for subset, *_, epoch in logger.of("scores")] == [("val", 1), ("val", 2), ("val", None), ("test", None)]
    (second, weights), (also_second, gradients) = logger.of("histograms")
    assert (second, also_second) == (2, 2)
    assert all(name.startswith("weights/") for name in weights)
    assert all(name.startswith("gradients/") for name in gradients)
    assert {name.partition("/")[2] for name in gradients} <= {name.partition("/")[2] for name in weights}
    assert all(values.shape == weights["weights" + name.removeprefix("gradients")].shape for name, values in gradients.items())
    assert sum(float(np.abs(values).sum()) for values in gradients.values()) > 0


def test_results_table_and_artifacts_are_those_of_the_runs_files(heard):
    logger, folder = heard
    metrics = json.loads((folder / "metrics.json").read_text())
    (results,) = logger.of("results")[0]
    assert results["test/auc"] == metrics["subsets"]["test"]["ranking"]["auc"]["value"]
    assert results["val/target_sensitivity/sensitivity"] == metrics["subsets"]["val"]["at"]["target_sensitivity"]["sensitivity"]["value"]
    assert results["training/best_epoch"] == metrics["training"]["best_epoch"] and None not in results.values()
    name, table = logger.of("table")[0]
    assert name == "predictions"
    assert len(table.rows) == len(table.images)
    errors = [row[table.columns.index("error")] for row in table.rows]
    test_cells = metrics["subsets"]["test"]["counted"]["cells"]
    assert errors[0] == max(errors)
    assert len(errors) == len({row[0] for row in table.rows}) <= test_cells
    artifacts = {(one.kind, one.aliases): one for (one,) in logger.of("artifact")}
    assert set(artifacts) == {("dataset", ()), ("split", ()), ("model", ("untrained",)), ("model", ("trained",)), ("report", ())}
    assert not artifacts["dataset", ()].made and artifacts["split", ()].facts["split_hash"] == metrics["split_hash"]
    assert all(path.is_file() for one in artifacts.values() for path in one.files)
    assert artifacts["model", ("untrained",)].name == artifacts["model", ("trained",)].name == "cellnet-model"
    texts = dict(logger.of("text"))
    assert f"| auc | {results['test/auc']:.4f} |" in texts["results"] and "learning_rate: 0.003" in texts["config"]


def test_a_run_that_fails_says_so_to_its_loggers(everything, run_task, tiny_cellnet, tmp_path):
    with pytest.raises(UserError):
        run_task(["dataset=folder", f"dataset.path={tmp_path / 'nowhere'}"], tmp_path / "run")
    (status, reason) = everything.of("finish")[0]
    assert status == "failed"
    assert "nowhere" in reason


def test_what_no_logger_wants_is_not_made_and_the_training_is_the_same(heard, monkeypatch, everything, run_task, tiny_cellnet, tmp_path):
    def refuse(*_, **__):
        raise AssertionError("made for nobody")

    everything.wants = {}
    monkeypatch.setattr("malaria_exp.tracking.tracker.predictions_table", refuse)
    monkeypatch.setattr("malaria_exp.training.loss_gradients.LossGradients.__call__", refuse)
    folder = run_task([*tiny_cellnet, *RUN], tmp_path / "run")
    assert not everything.of("images") and not everything.of("graph")
    assert not (folder / "untrained.keras").exists()
    assert not [one for one in everything.of("figure") if one[2] is not None]
    assert (heard[1] / "predictions.csv").read_bytes() == (folder / "predictions.csv").read_bytes()


def test_what_cannot_be_made_for_loggers_does_not_stop_the_run(everything, monkeypatch, caplog, run_task, tiny_cellnet, tmp_path):
    """A model that runs in plain Python alone has no graph; the disk may be full."""

    def refuse(*_, **__):
        raise OSError("no room, api_key=hunter2")

    import keras

    for name in ("tracking.tracker.graph_def", "training.loss_gradients.LossGradients.__call__", "evaluation.plots.epoch.EpochPlots.roc"):
        monkeypatch.setattr(f"malaria_exp.{name}", refuse)
    everything.wants |= {"gradients": 1}
    save = keras.Model.save
    monkeypatch.setattr(
        keras.Model, "save", lambda model, path, **more: refuse() if "untrained" in str(path) else save(model, path, **more)
    )
    with caplog.at_level(logging.WARNING, logger="malaria_exp"):
        run_task([*tiny_cellnet, *RUN], tmp_path / "run")
    said = [record.getMessage() for record in caplog.records if "cannot be made" in record.getMessage()]
    assert len(said) == 4, "once each, although there are two epochs"
    assert all("left out for the rest of the run: OSError: no room" in line and "hunter2" not in line for line in said)
    assert everything.of("finish") == [["done", ""]]
    assert [name for name, _, epoch in everything.of("figure") if epoch is not None] == ["val_confusion_matrix"] * 2
    assert all(name.startswith("weights/") for _, values in everything.of("histograms") for name in values)


def test_a_job_of_a_multirun_knows_its_group_and_its_fold(tmp_path):
    folder = tmp_path / "multirun-a" / "7"
    app = compose_app(["split=patient_kfold", "split.fold=2"], folder)
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(app.config_text)
    alone = describe_run(app.config, folder, ["split.fold=2", "x.api_key=hunter2"])
    assert (alone.name, alone.group, alone.job) == ("7", None, "fold-2")
    assert alone.overrides == ["split.fold=2", "x.api_key=***"]
    (folder.parent / "multirun.yaml").write_text("")
    assert describe_run(app.config, folder, []).name == "multirun-a-7"
    assert describe_run(app.config, folder, []).group == "multirun-a"


def test_params_are_the_options_and_what_was_set():
    config = {
        "seed": 1,
        "batch_size": 32,
        "model": {"name": "vit", "width": 8},
        "aug": {"dihedral": {"p": 1.0}, "cutmix": {}},
        "optimizer": {"name": "adam", "learning_rate": 0.1},
        "logger": {"csv": {}},
    }
    assert run_params(config, ("model=vit", "model.width=8", "+aug.dihedral.p=1.0", "logger=[csv]", "model.gone=1")) == {
        "model": "vit",
        "aug": "dihedral+cutmix",
        "optimizer": "adam",
        "seed": 1,
        "batch_size": 32,
        "optimizer.learning_rate": 0.1,
        "model.width": 8,
        "aug.dihedral.p": 1.0,
    }


def test_undefined_numbers_are_left_out_and_a_tracker_without_loggers_is_silent():
    cell = {"value": None, "low": None, "high": None}
    part = {
        "ranking": {"auc": {"value": 0.5, "low": 0.25, "high": 0.75, "patients": 4.25}, "brier": cell},
        "calibration": {"slope": cell | {"value": 1.5}, "ece": 0.25, "curve": {"score": [0.5]}, "uncalibrated": None},
        "at": {"fixed": {"tp": 3, "ppv": cell}},
    }
    metrics = {
        "thresholds": {"fixed": {"value": 0.5}},
        "subsets": {"test": part},
        "interval": {"confidence": 0.95},
        "training": {"precision": "float32", "epochs": 2},
    }
    calibration = {"test/calibration/slope": 1.5, "test/calibration/ece": 0.25}
    auc = {"test/auc": 0.5, "test/auc_low": 0.25, "test/auc_high": 0.75}
    assert final_numbers(metrics) == {**auc, **calibration, "test/tp": 3.0, "training/epochs": 2.0}
    assert results_text(metrics).splitlines()[2:] == ["| auc | 0.5000 | 0.2500 to 0.7500 | 4.2 |"]
    with Tracker(Loggers({})).recording():
        pass


def test_what_is_no_logger_is_refused(tmp_path):
    config = compose_app(["logger=[console]"], tmp_path).config
    with mock.patch("malaria_exp.tracking.tracker.build", lambda *_, **__: "no"), pytest.raises(ConfigError, match="'console' built 'no' "):
        open_tracker(config, tmp_path, [])
