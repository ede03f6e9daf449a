import json
import logging
import shutil
import sys
import threading
import urllib.request

import numpy as np
import pytest

from malaria_exp.components.logger._picture_grid import captioned_grid, png_size
from malaria_exp.components.logger.tensorboard import _histogram
from malaria_exp.config.registry import build
from malaria_exp.evaluation.plots.style import new_figure, png_bytes
from malaria_exp.tracking.logger_interface import Table
from malaria_exp.tracking.logger_queue import Loggers
from malaria_exp.utils.errors import ConfigError

RUN = ["trainer.epochs=2", "logger=[csv,tensorboard]", "logger.tensorboard.steps=2", "aug=[dihedral]"]


def events(folder):
    """What TensorBoard's own reader finds in a folder of event files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance=dict.fromkeys(("scalars", "tensors", "histograms", "images"), 0)).Reload()


@pytest.fixture(scope="module")
def runs(run_task, tiny_cellnet, tmp_path_factory):
    """Two runs of a grid, by different models, one of them subclassed; the folder that holds both."""
    root = tmp_path_factory.mktemp("outputs")
    run_task([*tiny_cellnet, *RUN, "optimizer.learning_rate=0.003"], root / "first")
    tiny = [item for item in tiny_cellnet if not item.startswith("model.") or item == "model.image_size=32"]
    run_task([*tiny, *RUN, "trainer.epochs=1", "model=lenet_subclassed", "model.units=8", "optimizer.learning_rate=0.01"], root / "second")
    return root


def test_scalars_are_those_of_the_history_and_of_the_metrics(runs):
    folder = runs / "first"
    found = events(folder / "tensorboard")
    lines = (folder / "history.csv").read_text().splitlines()
    column = lines[0].split(",").index("val_auc")
    auc = [(item.step, float(item.tensor_proto.float_val[0])) for item in found.Tensors("epoch/val_auc")]
    assert auc == [(epoch, pytest.approx(float(lines[epoch].split(",")[column]))) for epoch in (1, 2)]
    tags = found.Tags()["tensors"]
    assert {"step/loss", "epoch/learning_rate", "epoch/cells_per_second", "epoch/loss"} <= set(tags)
    assert all(item.step % 2 == 0 for item in found.Tensors("step/loss"))
    metrics = json.loads((folder / "metrics.json").read_text())
    (test_auc,) = found.Tensors("results/test/auc")
    assert test_auc.tensor_proto.float_val[0] == pytest.approx(metrics["subsets"]["test"]["ranking"]["auc"]["value"])


def test_every_kind_is_there(runs):
    tags = events(runs / "first" / "tensorboard").Tags()
    names = set(tags["tensors"])
    assert {
        "samples",
        "augmented_batch",
        "predictions",
        "predictions_pictures",
        "val_confusion_matrix",
        "val_roc",
        "results/roc",
        "results/worst_errors",
    } <= names
    assert {"val_pr_curve", "results/test_pr_curve", "config", "results"} <= names
    assert any(name.startswith("weights/") for name in names)
    assert any(name.startswith("gradients/") for name in names)
    assert tags["graph"]


@pytest.mark.parametrize("name", ["first", "second"])
def test_the_graph_holds_the_models_operations_however_it_is_written(runs, name):
    operations = {node.op for node in events(runs / name / "tensorboard").Graph().node}
    assert {"Conv2D", "MatMul"} <= operations


def test_pictures_are_the_png_as_it_was(run):
    logger = build("logger", "tensorboard", {})
    logger.start(run)
    logger.hparams({"seed": 1})
    png = png_bytes(new_figure(leaky=False, size=(2, 1)))
    logger.figure("val_roc", png, 3)
    logger.finish("done", "")
    (item,) = events(run.folder / "tensorboard").Tensors("val_roc")
    width, height, content = item.tensor_proto.string_val
    assert item.step == 3
    assert (int(width), int(height)) == png_size(png)
    assert content == png


def test_a_real_server_shows_it_all(runs):
    from tensorboard import program

    board = program.TensorBoard()
    board.configure(argv=["tensorboard", "--logdir", str(runs), "--load_fast=false", "--reload_interval=0", "--host=127.0.0.1", "--port=0"])
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    url = board.launch()

    def ask(path, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(
            urllib.request.Request(f"{url}{path}", data, {"Content-Type": "application/json"}), timeout=60
        ) as answer:
            content = answer.read()
        return json.loads(content) if content[:1] in b"[{" else content

    active = {name for name, plugin in ask("data/plugins_listing").items() if plugin["enabled"]}
    assert {"scalars", "images", "histograms", "distributions", "graphs", "pr_curves", "text", "hparams"} <= active
    assert "epoch/val_auc" in ask("data/plugin/scalars/tags")["first/tensorboard"]
    assert "val_roc" in ask("data/plugin/images/tags")["second/tensorboard"]
    assert "val_pr_curve" in ask("data/plugin/pr_curves/tags")["first/tensorboard"]
    assert b"Conv2D" in ask("data/plugin/graphs/graph?run=second/tensorboard&conceptual=false")

    experiment = ask("data/plugin/hparams/experiment", {"experimentName": ""})
    names = {info["name"] for info in experiment["hparamInfos"]}
    assert {"model", "optimizer.learning_rate", "seed"} <= names
    shown = {(info["name"]["group"], info["name"]["tag"]) for info in experiment["metricInfos"]}
    assert {tag for _, tag in shown} >= {"test/auc", "val/auc", "test/sensitivity"}
    assert len(shown) < 10
    columns = [{"hparam": "model", "order": "ORDER_ASC"}]
    request = {"experimentName": "", "allowedStatuses": ["STATUS_SUCCESS"], "colParams": columns, "startIndex": 0, "sliceSize": 10}
    groups = ask("data/plugin/hparams/session_groups", request)["sessionGroups"]
    assert [group["hparams"]["model"] for group in groups] == ["cellnet", "lenet_subclassed"]
    assert [round(group["hparams"]["optimizer.learning_rate"], 6) for group in groups] == [0.003, 0.01]
    auc = json.loads((runs / "first" / "metrics.json").read_text())["subsets"]["test"]["ranking"]["auc"]["value"]
    assert any(value["name"]["tag"] == "test/auc" and value["value"] == pytest.approx(auc) for value in groups[0]["metricValues"])


@pytest.mark.parametrize(
    "numbers",
    [
        np.random.default_rng(0).normal(size=(40, 30)),
        np.random.default_rng(0).normal(size=999).astype(np.float32),
        np.full((3, 3), 0.1, np.float32),
        np.array([1, np.nextafter(np.float32(1), np.float32(2))], np.float32),
        np.array([-1e30, 0, 1e30]),
        np.array(5.0),
    ],
)
def test_histograms_are_those_of_tensorboards_own_function(numbers):
    from tensorboard.plugins.histogram.summary_v2 import histogram_pb

    assert _histogram("w", numbers).SerializeToString() == histogram_pb("w", numbers.astype(np.float64)).SerializeToString()


def test_histograms_leave_out_what_is_no_number(run):
    logger = build("logger", "tensorboard", {})
    logger.start(run)
    logger.histograms(1, {"weights/nan": np.array([1.0, np.nan]), "weights/none": np.zeros((0, 3)), "weights/one": np.ones(3)})
    logger.finish("done", "")
    assert events(run.folder / "tensorboard").Tags()["tensors"] == ["weights/one"]


def test_a_failed_run_is_a_failure_with_its_reason(run):
    logger = build("logger", "tensorboard", {})
    logger.start(run)
    logger.hparams({"seed": 1})
    logger.finish("failed", "Training diverged")
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    found = events(run.folder / "tensorboard" / "results")
    content = found.SummaryMetadata("_hparams_/session_end_info").plugin_data.content
    assert HParamsPluginData.FromString(content).session_end_info.status == 2
    (text,) = events(run.folder / "tensorboard").Tensors("reason")
    assert text.tensor_proto.string_val[0] == b"Training diverged"


def test_its_folder_gone_in_mid_run_is_one_warning(run, caplog):
    loggers = Loggers({"tensorboard": build("logger", "tensorboard", {})})
    loggers.tell("start", run)
    loggers.tell("hparams", {"seed": 1})
    loggers.tell("scalars", "epoch", 1, {"epoch": 1, "loss": 0.5})
    _until_idle(loggers)
    shutil.rmtree(run.folder / "tensorboard")
    with caplog.at_level(logging.WARNING, logger="malaria_exp"):
        for epoch in (2, 3):
            loggers.tell("scalars", "epoch", epoch, {"epoch": epoch, "loss": 0.5})
        loggers.finish("done")
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1 and "tensorboard failed" in warnings[0] and "vanished" in warnings[0]


def _until_idle(loggers):
    done = threading.Event()
    loggers._lanes["tensorboard"].logger.training = lambda *_: done.set()
    loggers.tell("training", None, "val_auc")
    assert done.wait(30)


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ConfigError, match="pip install tensorboard"):
        build("logger", "tensorboard", {})


def test_the_table_shows_pictures_with_what_was_said_of_them(run):
    logger = build("logger", "tensorboard", {})
    logger.start(run)
    logger.hparams({"seed": 1})
    images = np.zeros((3, 16, 16, 3), np.uint8)
    rows = [(f"cell{n}", f"p{n}", "parasitized", 0.25, 0.75) for n in range(3)]
    logger.table("predictions", Table(("cell_id", "patient", "truth", "score", "error"), rows, images))
    logger.finish("done", "")
    found = events(run.folder / "tensorboard")
    (text,) = found.Tensors("predictions")
    (picture,) = found.Tensors("predictions_pictures")
    assert b"| cell0 | p0 | parasitized | 0.2500 | 0.7500 |" in text.tensor_proto.string_val[0]
    assert int(picture.tensor_proto.string_val[0]) == 8 * 136 + 8


def test_a_grid_of_pictures_has_room_for_its_captions():
    images = np.full((3, 16, 16, 3), 200, np.uint8)
    one, three = (
        png_size(captioned_grid(images, [caption] * 3, columns=2)) for caption in ("short", "one, two, three and more than fits below it")
    )
    assert one[0] == three[0] == 2 * 136 + 8
    assert three[1] > one[1]
