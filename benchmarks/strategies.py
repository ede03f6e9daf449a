"""Several devices, and several processes, train as one device does; streamed batches are dealt out to devices whole and ahead of time.

    python benchmarks/strategies.py [--folder /tmp/strategies]

On CPUs: two logical devices of one process (trainer.strategy=mirrored), and two processes (multi_worker), with fit, with the loop, with an average of
the weights (which is that of equal weights only if they are equal), and with batch normalization. Every training runs in a process of its
own, because devices must be set up before TensorFlow starts. Ends with 0 if all agree.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

VIT: tuple[str, dict[str, Any]] = ("vit", {"image_size": 32, "patch_size": 8, "width": 16, "depth": 1, "heads": 2, "dropout": 0.0})
CELLNET: tuple[str, dict[str, Any]] = ("cellnet", {"image_size": 32, "stem": 4, "widths": [8]})
# Trainer, model, parameters of the trainer, sampling.
CASES: dict[str, tuple[str, tuple[str, dict[str, Any]], dict[str, Any], str]] = {
    "fit_ema": ("fit", VIT, {"ema": 0.9}, "uniform"),
    "loop_ema": ("loop", VIT, {"ema": 0.9}, "uniform"),
    "fit_hard": ("fit", VIT, {"epochs": 4}, "hard_examples"),
    "loop_hard": ("loop", VIT, {"epochs": 4}, "hard_examples"),
    "norms": ("fit", CELLNET, {"epochs": 1}, "uniform"),
}
EQUAL = ["fit_ema", "loop_ema", "fit_hard", "loop_hard"]
OF_WORKERS = ["loop_ema", "loop_hard"]


def main() -> int:
    """Runs everything and compares; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--train", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--stream", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.train:
        train(asked.folder, asked.train[0], int(asked.train[1]), asked.train[2:])
        return 0
    if asked.stream:
        stream(asked.folder)
        return 0
    with tempfile.TemporaryDirectory() as made:
        root = (asked.folder or Path(made)).resolve()
        finish(start(root / "single", "--train", "none", "1", *EQUAL))
        finish(start(root / "mirrored", "--train", "mirrored", "2", *EQUAL, "norms"))
        cluster = {"worker": [f"localhost:{port}" for port in free_ports(2)]}
        configs = [json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}) for index in range(2)]
        finish(*(start(root / f"worker{i}", "--train", "multi_worker", "1", *OF_WORKERS, tf_config=one) for i, one in enumerate(configs)))
        differ = {f"mirrored, {case}": distance(root / "single", root / "mirrored", case) for case in EQUAL}
        for case in OF_WORKERS:
            differ |= {f"worker {index}, {case}": distance(root / "single", root / f"worker{index}", case) for index in range(2)}
            # To the last bit.
            differ[f"the workers among themselves, {case}"] = 1e12 * distance(root / "worker0", root / "worker1", case)
        for name, found in differ.items():
            print(f"{name:<42}{'equal' if found <= 1 else 'DIFFERENT'} (by {found:.2g} of what is allowed)")
        finish(start(root / "stream", "--stream"))
        print("streamed batches                          dealt out whole, and read ahead in a repeatable run")
    return int(max(differ.values()) > 1)


def start(folder: Path, *arguments: str, tf_config: str | None = None) -> "subprocess.Popen[str]":
    """Starts this program once more, with its output in a pipe."""
    folder.mkdir(parents=True)
    environment = {key: value for key, value in os.environ.items() if key != "TF_CONFIG"} | ({"TF_CONFIG": tf_config} if tf_config else {})
    command = [sys.executable, __file__, "--folder", str(folder), *arguments]
    return subprocess.Popen(
        command, env=environment | {"CUDA_VISIBLE_DEVICES": ""}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(*processes: "subprocess.Popen[str]") -> None:
    """Waits for processes; one that failed ends the program with what it said."""
    for process in processes:
        said = process.communicate(timeout=600)[0]
        if process.returncode:
            raise SystemExit(f"FAILED:\n{said[-3000:]}")


def free_ports(count: int) -> list[int]:
    """Returns numbers of ports that nobody uses."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def distance(one: Path, other: Path, case: str) -> float:
    """Returns by how much weights and numbers of two trainings differ, in units of what sums in another order may make."""
    first, second = np.load(one / f"{case}.npz"), np.load(other / f"{case}.npz")
    if set(first) != set(second) or first["names"].tolist() != second["names"].tolist():
        return float("inf")
    names = set(first) - {"names"}
    return max(float(np.max(np.abs(second[name] - first[name]) / (5e-4 + 2e-3 * np.abs(first[name])))) for name in names)


def two_devices() -> None:
    """Makes two devices of this machine's processor."""
    import tensorflow as tf

    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)


def train(folder: Path, strategy: str, devices: int, cases: list[str]) -> None:
    """Trains the cases and writes weights and history of each into folder/CASE.npz."""
    if devices > 1:
        two_devices()
    from malaria_exp.config.registry import build
    from malaria_exp.data.augmentation_chain import Chain
    from malaria_exp.data.batches import TrainingBatches
    from malaria_exp.data.pixel_cache import open_pixel_cache
    from malaria_exp.data.resize import ResizeRule
    from malaria_exp.data.subsets import Data
    from malaria_exp.tracking.logger_queue import Loggers
    from malaria_exp.tracking.tracker import Tracker
    from malaria_exp.training.strategy import open_strategy
    from malaria_exp.training.trainer_interface import TrainerInputs

    opened = open_strategy(strategy)  # type: ignore[arg-type]
    table = build("dataset", "synthetic", {"infected_patients": 10, "healthy_patients": 4, "cells_per_patient": 10, "cell_size": 40})
    data = Data(build("split", "patient_holdout", {}, table), open_pixel_cache(table, ResizeRule(32, "pad"), folder.parent / "cache"))
    cells, val = data.training()
    for case in cases:
        trainer, model, params, sampling = CASES[case]
        parts = TrainerInputs(
            build_model=lambda model=model: build("model", *model),  # type: ignore[misc]
            loss=build("loss", "bce", {}),
            build_multiplier=lambda length: build("schedule", "cosine", {}, length),
            build_optimizer=lambda multiplier: build("optimizer", "adamw", {"learning_rate": 0.003}, multiplier),
            batches=TrainingBatches(
                cells,
                batch_size=16,
                chain=Chain([build("aug", "dihedral", {})]),
                seed=1,
                resident_gb=1,
                sampling=build("sampling", sampling, {}, *data.training_labels()),
            ),
            val=val,
            tracker=Tracker(Loggers({})),
            folder=folder,
            seed=1,
            eval_batch_size=64,
            identity="test",
            cache=folder,
            build_metrics=lambda: [build("metric", name, {}) for name in ("accuracy", "tp")],
            strategy=opened,
        )
        trained = build("trainer", trainer, {"epochs": 2, "precision": "float32", "strategy": strategy, **params}).train(parts)
        weights = {f"weight_{number}": value for number, value in enumerate(trained.model.get_weights())}
        names = [name for name in trained.history[0] if name not in ("seconds", "cells_per_second")]
        rows = np.array([[row[name] for name in names] for row in trained.history])
        np.savez(folder / f"{case}.npz", history=rows, names=names, **weights)


def stream(folder: Path) -> None:
    """Deals streamed batches out to two devices; then takes the shards away and goes on with what was read ahead.

    Repeatable, TensorFlow drops from a pipeline what runs ahead, unless nothing in it has a state.
    """
    two_devices()
    import tensorflow as tf

    from malaria_exp.config.registry import build
    from malaria_exp.data.open_batches import training_batches
    from malaria_exp.data.pixel_cache import open_pixel_cache
    from malaria_exp.data.resize import ResizeRule
    from malaria_exp.data.shards.write_shards import write_shards
    from malaria_exp.data.subsets import Data
    from malaria_exp.utils.filesystems import open_filesystem

    rule = ResizeRule(16, "pad")
    table = build("dataset", "synthetic", {"infected_patients": 20, "healthy_patients": 5, "cells_per_patient": 16, "cell_size": 40})
    write_shards(table, open_filesystem(str(folder / "set"), "task.to"), rule, shard_mb=0.03, seed=0, workers=2, root=folder / "cache")  # type: ignore[arg-type]

    def batches(window: int, batch_size: int, sampling: str = "uniform") -> Any:
        shards = build("dataset", "shards", {"path": str(folder / "set"), "window": window})
        data = Data(build("split", "patient_holdout", {}, shards), open_pixel_cache(shards, rule, folder / "cache"))
        chosen = build("sampling", sampling, {}, *data.training_labels())
        return training_batches(data.training()[0], batch_size=batch_size, augmentations=[], seed=0, resident_gb=1, sampling=chosen)

    tf.config.experimental.enable_op_determinism()
    made, strategy = batches(3, 16), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    dealt = iter(made.distributed(strategy, lambda own: own.dataset(0, 2)))
    for whole, _ in made.dataset(0, 2).take(10):
        parts = [part.numpy() for part in strategy.experimental_local_results(next(dealt)[0])]
        if [len(part) for part in parts] != [8, 8] or not np.array_equal(np.concatenate(parts), whole):
            raise SystemExit("the devices' parts are not the batch that one would have")
    ahead = [iter(batches(1, 1).dataset()), iter(batches(1, 1, "hard_examples").epoch_under_way(lambda: (1, 0)))]
    for one in ahead:
        next(one)
    time.sleep(2)
    (folder / "set").rename(folder / "away")
    for one, count in zip(ahead, (25, 6), strict=True):
        for _ in range(count):
            next(one)


if __name__ == "__main__":
    sys.exit(main())
