"""Several processes train as one would; what several devices cannot take is refused. More ways, and mirrored devices: benchmarks/strategies.py."""

import json
import os
import socket
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT

from malaria_exp.config.registry import build
from malaria_exp.runs.saved_model import load_model
from malaria_exp.training import strategy
from malaria_exp.training.settings import Settings, Stage
from malaria_exp.utils.errors import ConfigError


def finish(*processes):
    for process in processes:
        output = process.communicate(timeout=400)[0]
        assert process.returncode == 0, output[-3000:]


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.mark.long
def test_two_workers_train_as_one_process_does_and_only_the_chief_writes_the_run(tmp_path, tiny, run_task):
    """Two processes of the same command, as a user starts them. The average of the weights is that of equal weights only if they are equal."""
    own = ["trainer=loop", "trainer.ema=0.9", "model=vit", "model.width=16", "model.depth=1", "model.heads=2", "model.dropout=0"]
    command = [sys.executable, "run.py", *tiny, *own, "trainer.strategy=multi_worker", f"hydra.run.dir={tmp_path / 'run'}"]
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(2)]}
    processes = []
    for index in range(2):
        config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        said = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        processes.append(subprocess.Popen(command, env={**os.environ, "TF_CONFIG": config}, cwd=ROOT, **said))
    alone = load_model(run_task([*tiny, *own], tmp_path / "alone")).uncalibrated.get_weights()
    finish(*processes)
    assert {"model.keras", "report.html", "metrics.json", "history.csv"} <= {path.name for path in (tmp_path / "run").iterdir()}
    assert sorted(path.name for path in (tmp_path / "run-worker-1").iterdir()) == ["config.yaml", "run.log", "status.json"]
    assert json.loads((tmp_path / "run-worker-1" / "status.json").read_text())["status"] == "done"
    for one, two in zip(alone, load_model(tmp_path / "run").uncalibrated.get_weights(), strict=True):
        np.testing.assert_allclose(two, one, rtol=2e-3, atol=5e-4)


def test_fit_on_several_workers_is_refused():
    extended = SimpleNamespace(_in_multi_worker_mode=lambda: True)
    with pytest.raises(ConfigError, match="Use trainer=loop"):
        strategy.refuse_workers(SimpleNamespace(extended=extended))


def optimizer(**params):
    return build("optimizer", "adamw", params, lambda step: 1.0)


@pytest.mark.parametrize(
    ("params", "settings", "precision", "said"),
    [
        ({"clip_norm": 1.0}, {}, "float32", "optimizer.clip_norm: not possible on 2 devices (trainer.strategy=mirrored)"),
        ({}, {"accumulate": 2}, "float32", "trainer.accumulate: not possible"),
        ({}, {}, "float16", "trainer.precision: float16 is not possible"),
    ],
)
def test_what_several_devices_would_compute_otherwise_is_refused(params, settings, precision, said):
    made = Settings((Stage(1),), monitor="val_auc", strategy="mirrored", **settings)
    with pytest.raises(ConfigError) as caught:
        strategy.check_optimizer(optimizer(**params), made, precision, SimpleNamespace(num_replicas_in_sync=2))
    assert said in str(caught.value)
    strategy.check_optimizer(optimizer(**params), made, precision, SimpleNamespace(num_replicas_in_sync=1))


def test_a_batch_that_cannot_be_divided_is_refused():
    with pytest.raises(ConfigError, match="batch_size: 10 cells cannot be divided evenly among 4 devices. Use a multiple of 4"):
        strategy.check_divisible(SimpleNamespace(batch_size=10), SimpleNamespace(num_replicas_in_sync=4))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"cluster": {}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
    ],
)
def test_a_tf_config_that_makes_no_sense_is_shown_how(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ConfigError, match=r'TF_CONFIG: expected .*"host1:23456"'):
        strategy.workers()


def test_multi_worker_alone_is_refused(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ConfigError, match="multi_worker needs at least two workers"):
        strategy.open_strategy("multi_worker")


def test_auto_without_gpus_and_workers_is_none(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert strategy.open_strategy("auto").num_replicas_in_sync == 1


def test_which_folder_a_worker_has(monkeypatch, tmp_path):
    for index, expected in ((0, None), (1, tmp_path / "run-worker-1")):
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": index}}))
        assert strategy.worker_folder(tmp_path / "run", "multi_worker") == expected
        assert strategy.worker_folder(tmp_path / "run", "none") is None
