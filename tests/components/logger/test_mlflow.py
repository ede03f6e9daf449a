import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from malaria_exp.config.registry import build
from malaria_exp.runs import run as finished
from malaria_exp.tracking.logger_interface import Run
from malaria_exp.tracking.logger_queue import Loggers
from malaria_exp.utils.errors import ConfigError

pytest.importorskip("mlflow")


@pytest.fixture(scope="module", autouse=True)
def own_environment():
    """What the logger sets for the client ends with these tests, and nobody's own server hears of them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
            patch.delenv(name)
        before = dict(os.environ)
        yield
        for name in set(os.environ) - set(before):
            del os.environ[name]


def store(root):
    """The client of the store beside the runs in a folder, and the experiment's runs, oldest first."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{root / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("malaria_exp")
    return client, client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC", "attributes.run_name ASC"])


@pytest.fixture(scope="module")
def tracked(run_task, tiny_cellnet, tmp_path_factory):
    """The folder of two jobs of a multirun."""
    root = tmp_path_factory.mktemp("outputs")
    group = root / "multirun-x"
    group.mkdir()
    (group / "multirun.yaml").write_text("")
    own = [*tiny_cellnet, "logger=[csv,mlflow]", "logger.mlflow.steps=2", "split.seed=0"]
    run_task([*own, "seed=0", "trainer.epochs=2"], group / "0")
    run_task([*(item for item in own if not item.startswith("trainer.")), "trainer=none", "seed=1"], group / "1")
    return group


@pytest.mark.long
def test_jobs_are_nested_in_one_run_of_the_multirun(tracked):
    _, runs = store(tracked.parent)
    parent, first, second = runs
    assert parent.info.run_name == tracked.name
    assert {run.data.tags["mlflow.parentRunId"] for run in (first, second)} == {parent.info.run_id}
    assert [run.info.run_name for run in (first, second)] == [f"{tracked.name}-0", f"{tracked.name}-1"]
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_params_metrics_and_the_dataset_are_those_of_the_run(tracked):
    client, (_, run, _) = store(tracked.parent)
    assert run.data.params["model.name"] == "cellnet"
    assert run.data.params["trainer.epochs"] == "2"
    assert run.data.tags["seed"] == "0"
    lines = [line.split(",") for line in (tracked / "0" / "history.csv").read_text().splitlines()]
    column = lines[0].index("val_auc")
    history = client.get_metric_history(run.info.run_id, "epoch/val_auc")
    assert [(item.step, item.value) for item in history] == [(epoch, float(lines[epoch][column])) for epoch in (1, 2)]
    assert all(item.step % 2 == 0 for item in client.get_metric_history(run.info.run_id, "step/loss"))
    metrics = json.loads((tracked / "0" / "metrics.json").read_text())
    assert run.data.metrics["test/auc"] == metrics["subsets"]["test"]["ranking"]["auc"]["value"]
    (dataset,) = run.inputs.dataset_inputs
    known = json.loads((tracked / "0" / "provenance.json").read_text())["data_hash"]
    assert json.loads(dataset.dataset.profile)["data_hash"] == known
    assert known.startswith(dataset.dataset.digest)
    assert run.data.tags["split_hash"] == metrics["split_hash"]


def test_pictures_and_report_are_among_the_artifacts(tracked):
    client, (_, run, _) = store(tracked.parent)

    def below(path=None):
        for item in client.list_artifacts(run.info.run_id, path):
            yield from below(item.path) if item.is_dir else [item.path]

    names = set(below())
    assert {"report/report.html", "split/split.csv", "cells/samples.png", "plots/roc.png"} <= names
    assert {"predictions.json", "cells/predictions.png", "results.md", "config.md"} <= names
    # MLflow shows the pictures of one name beside each other, by their step.
    assert set(re.findall(r"images/val_roc\W+step\W+(\d+)", "\n".join(names))) == {"1", "2"}


def test_the_model_is_a_logged_model_with_its_results(tracked, tmp_path):
    import mlflow

    client, (_, run, _) = store(tracked.parent)
    found = client.search_logged_models([run.info.experiment_id], filter_string=f"source_run_id = '{run.info.run_id}'")
    (model,) = found
    assert model.name == "cellnet-model"
    assert model.status.name == "READY"
    metrics = json.loads((tracked / "0" / "metrics.json").read_text())
    known = {metric.key: metric.value for metric in model.metrics}
    assert known["test/auc"] == metrics["subsets"]["test"]["ranking"]["auc"]["value"]
    mlflow.artifacts.download_artifacts(artifact_uri=model.artifact_location, dst_path=str(tmp_path))
    (fetched,) = tmp_path.rglob("model.keras")
    assert fetched.read_bytes() == (tracked / "0" / "model.keras").read_bytes()


def test_mlflow_loads_the_model_and_it_scores_as_the_run_did(tracked):
    import mlflow

    client, (_, run, _) = store(tracked.parent)
    (found,) = client.search_logged_models([run.info.experiment_id], filter_string=f"source_run_id = '{run.info.run_id}'")
    # By the address of its files: "models:/<id>" needs the tracking address of the whole process.
    images = np.random.default_rng(0).random((3, 32, 32, 3), dtype=np.float32)
    expected = finished.Run(tracked / "0").model().predict(images, verbose=0)
    np.testing.assert_allclose(mlflow.keras.load_model(found.artifact_location).predict(images, verbose=0), expected, rtol=1e-4)
    np.testing.assert_allclose(mlflow.pyfunc.load_model(found.artifact_location).predict(images), expected, rtol=1e-4)


def test_the_duration_begins_with_the_run(tracked):
    _, (_, run, _) = store(tracked.parent)
    began = (tracked / "0" / "config.yaml").stat().st_mtime
    assert abs(run.info.start_time / 1000 - began) < 0.01


def started(run, **keys):
    logger = build("logger", "mlflow", keys)
    logger.start(run)
    return logger


def test_a_failed_run_is_failed_with_its_reason(run):
    started(run).finish("failed", "Training diverged")
    _, (found,) = store(run.folder.parent)
    assert found.info.status == "FAILED"
    assert found.data.tags["reason"] == "Training diverged"


def test_long_and_odd_values_are_taken(run):
    config = {"aug": {"keras_layers": {"layers": ["x" * 9000]}}, "a:b": None, "empty": {}}
    logger = started(replace(run, config=config, group="it's"))
    logger.scalars("epoch", 1, {"epoch": 1, "val_auc": float("nan"), "val@x": 1.0})
    logger.finish("done", "")
    assert run.folder.exists()


JOB = """
import sys
from pathlib import Path
import mlflow
import mlflow.tracking
from malaria_exp.components.logger.mlflow import MlflowLogger
from malaria_exp.runs import run as finished
from malaria_exp.tracking.logger_interface import Run
folder = Path(sys.argv[1])
folder.mkdir(parents=True)
logger = MlflowLogger(mlflow, None, "malaria_exp", None, {}, models=False)
print("ready", flush=True)
logger.start(Run(folder, folder.name, "many", "train", {"seed": 1}))
logger.scalars("epoch", 1, {"epoch": 1, "val_auc": 0.5})
logger.finish("done", "")
"""


@pytest.mark.long
def test_jobs_that_begin_together_share_store_experiment_and_parent(tmp_path):
    there, here = tmp_path / "many" / "0", tmp_path / "many" / "1"
    job = subprocess.Popen([sys.executable, "-c", JOB, str(there)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert job.stdout.readline() == "ready\n", job.stderr.read()
    here.mkdir()
    logger = started(Run(here, here.name, "many", "train", {"seed": 1}))
    logger.scalars("epoch", 1, {"epoch": 1, "val_auc": 0.5})
    logger.finish("done", "")
    said = job.communicate(timeout=120)[1]
    assert job.returncode == 0, said
    _, runs = store(tmp_path)
    parents = [run for run in runs if run.data.tags["malaria_exp.job"] == "multirun"]
    assert len(parents) == 1
    assert sorted(run.info.run_name for run in runs if run not in parents) == ["0", "1"]


def warnings_of(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "malaria_exp" and record.levelno >= logging.WARNING]


def test_the_store_gone_in_mid_run_is_one_warning(run, caplog):
    loggers = Loggers({"mlflow": build("logger", "mlflow", {})})
    loggers.tell("start", run)
    database = run.folder.parent / "mlflow" / "mlflow.db"
    for _ in range(600):
        if hasattr(loggers._lanes["mlflow"].logger, "client"):
            break
        time.sleep(0.1)
    time.sleep(1)
    database.unlink()
    with caplog.at_level(logging.WARNING, logger="malaria_exp"):
        for epoch in (1, 2):
            loggers.tell("scalars", "epoch", epoch, {"epoch": epoch, "val_auc": 0.5})
        loggers.finish("done")
    (warning,) = warnings_of(caplog)
    assert "mlflow failed" in warning


class Answers(BaseHTTPRequestHandler):
    """As much of a tracking server as a run asks for; the batches that it is sent are kept."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        run = {
            "info": {"run_id": "r1", "run_uuid": "r1", "experiment_id": "1", "status": "RUNNING", "artifact_uri": "mlflow-artifacts:/r1"}
        }
        answers = {"create": {"run": run}, "get-by-name": {"experiment": {"experiment_id": "1", "lifecycle_stage": "active"}}}
        content = json.dumps(answers.get(self.path.partition("?")[0].rpartition("/")[2], {})).encode()
        self.server.batches += [asked] if self.path.endswith("log-batch") else []
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self):
        self.do_GET()


def test_a_server_is_told_and_when_it_dies_the_run_goes_on(run, caplog):
    """MLflow's own server takes half a minute to start: benchmarks/tracking_pages.py."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.batches = []
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    loggers = Loggers({"mlflow": build("logger", "mlflow", {"uri": f"http://127.0.0.1:{server.server_port}"})})
    loggers.tell("start", run)
    loggers.tell("scalars", "epoch", 1, {"epoch": 1, "val_auc": 0.5})
    for _ in range(300):
        if any(
            metric["key"] == "epoch/val_auc" and metric["value"] == 0.5 for batch in server.batches for metric in batch.get("metrics", [])
        ):
            break
        time.sleep(0.1)
    else:
        pytest.fail(f"the server was not told: {server.batches}")
    server.shutdown()
    server.server_close()
    with caplog.at_level(logging.WARNING, logger="malaria_exp"):
        before = time.perf_counter()
        for epoch in range(2, 50):
            loggers.tell("scalars", "epoch", epoch, {"epoch": epoch, "val_auc": 0.5})
        assert time.perf_counter() - before < 5, "nobody waits for it"
        loggers.finish("done")
    (warning,) = warnings_of(caplog)
    assert "mlflow failed" in warning or "mlflow did not finish" in warning


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ConfigError, match=r"pip install 'malaria_exp\[mlflow\]'"):
        build("logger", "mlflow", {})
