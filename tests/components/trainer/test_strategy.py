"""Several devices take the step that one would take; what they cannot is refused."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT

from malaria_exp.config.registry import build
from malaria_exp.training import strategy
from malaria_exp.training.settings import Settings, Stage
from malaria_exp.utils.errors import ConfigError

PROGRAM = Path(__file__).parent / "strategy_worker.py"
# With an average of the weights, which is that of equal weights only if they are equal.
EQUAL = ["fit_ema", "loop_ema"]


def start(folder, strategy, devices, cases, tf_config=None):
    folder.mkdir(parents=True, exist_ok=True)
    environment = {key: value for key, value in os.environ.items() if key != "TF_CONFIG"} | ({"TF_CONFIG": tf_config} if tf_config else {})
    command = [sys.executable, str(PROGRAM), str(folder), strategy, str(devices), *cases]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)


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


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("strategies")


@pytest.fixture(scope="module")
def single(root):
    """What one device gives, in this process."""
    spec = importlib.util.spec_from_file_location(PROGRAM.stem, PROGRAM)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    (root / "single").mkdir()
    program.main(root / "single", "none", 1, EQUAL)
    return root / "single"


def check_equal(one, other, cases):
    for case in cases:
        first, second = np.load(one / f"{case}.npz"), np.load(other / f"{case}.npz")
        assert set(first) == set(second)
        assert first["names"].tolist() == second["names"].tolist()
        for name in set(first) - {"names"}:
            # Sums are taken in another order.
            np.testing.assert_allclose(second[name], first[name], rtol=2e-3, atol=5e-4, err_msg=f"{case}: {name}")


def test_two_devices_of_one_machine_train_as_one_does(single, root):
    finish(start(root / "mirrored", "mirrored", 2, [*EQUAL, "norms"]))
    check_equal(single, root / "mirrored", EQUAL)


def test_two_worker_processes_train_as_one_does_and_end_with_the_same_weights(single, root):
    loops = [case for case in EQUAL if "loop" in case]
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(2)]}
    configs = [json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}) for index in range(2)]
    finish(*(start(root / f"worker{index}", "multi_worker", 1, loops, config) for index, config in enumerate(configs)))
    for index in range(2):
        check_equal(single, root / f"worker{index}", loops)
    for case in loops:
        first, second = (np.load(root / f"worker{index}" / f"{case}.npz") for index in range(2))
        for name in first:
            np.testing.assert_array_equal(first[name], second[name])


def test_only_the_chief_writes_the_run(tmp_path, tiny, cache_root):
    """Two processes of the same command, as a user starts them."""
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(2)]}
    model = ["model=vit", "model.width=16", "model.depth=1", "model.heads=2"]
    command = [
        sys.executable,
        "run.py",
        "trainer=loop",
        *tiny,
        *model,
        "trainer.strategy=multi_worker",
        f"hydra.run.dir={tmp_path / 'run'}",
    ]
    processes = []
    for index in range(2):
        config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        processes.append(
            subprocess.Popen(
                command,
                env={**os.environ, "TF_CONFIG": config},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=ROOT,
            )
        )
    finish(*processes)
    assert {"model.keras", "report.html", "metrics.json", "history.csv"} <= {path.name for path in (tmp_path / "run").iterdir()}
    assert sorted(path.name for path in (tmp_path / "run-worker-1").iterdir()) == ["config.yaml", "run.log", "status.json"]
    assert json.loads((tmp_path / "run-worker-1" / "status.json").read_text())["status"] == "done"


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
