"""Measures streaming from shards: memory over an epoch, bytes a second, speed of training beside resident data, quality of the shuffle.

Run from the repository root: python benchmarks/stream_shards.py FOLDER
One measurement alone, over more epochs: python benchmarks/stream_shards.py FOLDER stream WINDOW EPOCHS
FOLDER keeps the shards of 300,000 synthetic cells (3.8 GB) and a cache (2.6 GB) for later runs; the first run writes them. Each measurement
of memory has a process of its own, started by this program; training takes turns, streamed and resident, in one process.
"""

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from malaria_exp.components.dataset.shards import shards
from malaria_exp.config.registry import build
from malaria_exp.data.augmentation_chain import Chain
from malaria_exp.data.batches import TrainingBatches
from malaria_exp.data.pixel_cache import open_pixel_cache
from malaria_exp.data.resize import ResizeRule
from malaria_exp.data.streamed_batches import StreamedBatches
from malaria_exp.data.subsets import Cells, Data
from malaria_exp.utils.filesystems import open_filesystem
from malaria_exp.utils.machine import machine
from malaria_exp.utils.tensorflow_setup import load_tensorflow

SYNTHETIC = {"infected_patients": 1200, "healthy_patients": 400, "cells_per_patient": 188, "cell_size": 64}
SIZE, BATCH, WINDOWS, DEFAULT_WINDOW = 64, 128, (4, 8, 16), 8
# Epochs in all, and those of them after which memory is looked at: by then malloc's free lists have filled.
EPOCHS, TRAIN_EPOCHS, ROUNDS = 8, (1.5, 0.5), 7
MB = 1e6


def main() -> None:
    """Measures and prints."""
    folder = Path(sys.argv[1])
    if len(sys.argv) > 2:
        # As runs do; it also makes TensorFlow repeatable, which changes how it executes pipelines.
        load_tensorflow()
        print(json.dumps(globals()[f"measure_{sys.argv[2]}"](folder, *map(int, sys.argv[3:]))))
        return
    print(machine(), f"load {os.getloadavg()[0]:.1f}")
    if not (folder / "set" / "dataset.json").exists():
        found = child(folder, "writing")
        print(
            f"writing    {found['cells']:,} cells made and written in {found['seconds']:.0f} s, {found['cells'] / found['seconds']:.0f} a second,"
        )
        print(f"           peak memory {found['peak']:.0f} MB, {found['before']:.0f} MB of it before the first cell")
    found = child(folder, "opening")
    print(
        f"opening    {found['cells']:,} cells in {found['shards']} shards: {found['seconds']:.1f} s, table {found['table']:.0f} MB in memory"
    )
    print(
        f"\nMemory of a process (MB), streaming alone {EPOCHS} epochs, then training {TRAIN_EPOCHS[0]} epochs; settled: after {EPOCHS // 2}, {TRAIN_EPOCHS[1]}"
    )
    print(f"{'window':>8} {'MB each':>8} {'cells/s':>9} {'MB/s':>7} {'start':>7} {'settled':>9} {'end':>7} {'peak':>7}  slope, MB an epoch")
    for window in WINDOWS:
        print(memory_line(f"{window:>8}", child(folder, "stream", window)), flush=True)
    print(memory_line("training", child(folder, "training", DEFAULT_WINDOW)), flush=True)
    found = child(folder, "turns", DEFAULT_WINDOW)
    print(f"\nMilliseconds a training step ({found['precision']}), {ROUNDS} rounds of {found['steps']} steps, in turns")
    # The time of the processor leaves out what other guests of the machine take.
    for what in ("wall clock", "CPU time"):
        sides = found[what]
        for side, values in sides.items():
            print(f"{what:<11} {side:<9} {describe(values)}")
        speeds = [own / other for own, other in zip(sides["resident"], sides["streamed"], strict=True)]
        fastest = min(sides["resident"]) / min(sides["streamed"])
        print(f"{what:<11} speed     {describe(speeds, 3)} of the resident side; {fastest:.3f} at their fastest")
    found = child(folder, "shuffle", DEFAULT_WINDOW)
    print(f"\nShuffle   {'patients a batch':>18} {'SD of positives':>16} {'pairs of one shard':>19}   (means over an epoch's batches)")
    for side, values in found.items():
        print(f"{side:<9} {values['patients']:>18.2f} {values['positives']:>16.4f} {values['pairs']:>18.2%}")


def child(folder: Path, what: str, *more: int) -> dict[str, Any]:
    """Runs one measurement in a process of its own and returns what it found."""
    command = [sys.executable, __file__, str(folder), what, *map(str, more)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def describe(values: list[float], digits: int = 1) -> str:
    """Returns median and spread as text."""
    return f"median {statistics.median(values):.{digits}f} (min {min(values):.{digits}f}, max {max(values):.{digits}f})"


def memory_line(name: str, found: dict[str, Any]) -> str:
    """Returns the row of one measurement of memory."""
    return (
        f"{name:>8} {found['window']:>8.0f} {found['rate']:>9,.0f} {found['rate'] * SIZE * SIZE * 3 / MB:>7.0f} {found['start']:>7.0f} {found['settled']:>9.0f}"
        f" {found['end']:>7.0f} {found['peak']:>7.0f}  {found['slope']:+.1f}"
    )


def memory() -> float:
    """Returns this process's resident memory in MB, without pages of files that the system may drop."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024 / MB


class Sampler(threading.Thread):
    """Notes the memory every tenth of a second, beside the work."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.values: list[tuple[float, float]] = []

    def run(self) -> None:
        """Samples until the process ends."""
        while True:
            self.values.append((time.perf_counter(), memory()))
            time.sleep(0.1)


def open_cells(folder: Path, window: int) -> Data:
    """Opens the shards and splits them."""
    table = shards(path=str(folder / "set"), window=window)
    manifest = build("split", "patient_holdout", {}, table)
    return Data(manifest, open_pixel_cache(table, ResizeRule(SIZE, "pad"), folder / "cache"))


def train_cells(data: Data) -> Cells:
    """Returns the training cells, streamed."""
    rows = data.manifest.rows("train")
    return Cells("train", rows, data.manifest.label[rows], data.pixel_cache)


def streamed(cells: Cells) -> StreamedBatches:
    """Returns streamed batches with the default augmentation."""
    return StreamedBatches(cells, batch_size=BATCH, chain=Chain([build("aug", "dihedral", {})]), seed=0)


def measure_writing(folder: Path) -> dict[str, float]:
    """Draws and writes the cells."""
    from malaria_exp.data.shards.write_shards import write_shards

    table = build("dataset", "synthetic", SYNTHETIC)
    before = memory()
    sampler = Sampler()
    sampler.start()
    start = time.perf_counter()
    write_shards(
        table,
        open_filesystem(str(folder / "set"), "task.to"),
        ResizeRule(SIZE, "pad"),
        shard_mb=64,
        seed=0,
        workers=0,
        root=folder / "cache",
    )
    return {
        "cells": len(table),
        "seconds": time.perf_counter() - start,
        "before": before,
        "peak": max(value for _, value in sampler.values),
    }


def measure_opening(folder: Path) -> dict[str, float]:
    """Opens the shards and reads their table."""
    before, start = memory(), time.perf_counter()
    table = shards(path=str(folder / "set"))
    seconds = time.perf_counter() - start
    columns = ("cell_id", "label", "patient", "slide", "field", "content")
    size = sum(getattr(table, name).nbytes for name in columns) / MB
    return {"cells": len(table), "shards": len(table.source.set.shards), "seconds": seconds, "table": size, "grown": memory() - before}  # type: ignore[attr-defined]


def watched(batches: StreamedBatches, step: Callable[[], Any], epochs: float, settled: float) -> dict[str, float]:
    """Runs steps over some epochs and returns what the memory did after the first `settled` of them."""
    steps, settling = round(batches.steps_per_epoch * epochs), round(batches.steps_per_epoch * settled)
    start_memory = memory()
    sampler = Sampler()
    sampler.start()
    step()
    start = time.perf_counter()
    for number in range(steps):
        step()
        if number == settling:
            full = time.perf_counter()
    seconds = time.perf_counter() - start
    after = np.array([(at - full, value) for at, value in sampler.values if at >= full])
    per_second = float(np.polyfit(after[:, 0], after[:, 1], 1)[0])
    tenth = max(1, len(after) // 10)
    return {
        "rate": steps * batches.batch_size / seconds,
        "window": len(batches.cells) * SIZE * SIZE * 3 * batches.window / len(batches.shards) / MB,
        "start": start_memory,
        "settled": float(np.median(after[:tenth, 1])),
        "end": float(np.median(after[-tenth:, 1])),
        "peak": max(value for _, value in sampler.values),
        "slope": per_second * seconds / epochs,
    }


def measure_stream(folder: Path, window: int, epochs: int = EPOCHS) -> dict[str, float]:
    """Streams without training; memory is looked at in the second half of the epochs."""
    batches = streamed(train_cells(open_cells(folder, window)))
    stream = iter(batches.dataset())
    return watched(batches, lambda: next(stream), epochs, epochs // 2)


def training_step(dataset: Any) -> Callable[[], Any]:
    """Returns a function that trains cellnet by one step of Keras' own, on the next batch."""
    import keras

    from malaria_exp.config.durations import RunLength

    model = build("model", "cellnet", {"image_size": SIZE})
    factor = build("schedule", "constant", {}, RunLength(1, 1000, BATCH))
    model.compile(
        build("optimizer", "adamw", {}, factor), build("loss", "bce", {}), metrics=[keras.metrics.BinaryAccuracy()], jit_compile=False
    )
    model.make_train_function()
    train = model.train_function
    stream = iter(dataset)
    # Reading the loss waits for the step.
    return lambda: float(np.mean(train(stream)["loss"]))


def precision_of(folder: Path, batches: StreamedBatches) -> str:
    """Sets and returns the precision that is the fastest here, measured once."""
    from malaria_exp.training.precision import choose_precision, set_precision

    def compiled() -> Any:
        model = build("model", "cellnet", {"image_size": SIZE})
        model.compile("adamw", build("loss", "bce", {}), jit_compile=False)
        return model

    def batch() -> tuple[np.ndarray, ...]:
        return tuple(part.numpy() for part in next(iter(batches.dataset())))

    chosen = choose_precision(compiled, batch, identity="stream_shards", root=folder / "cache")
    set_precision(chosen)
    return chosen


def measure_training(folder: Path, window: int) -> dict[str, float]:
    """Trains on the stream."""
    batches = streamed(train_cells(open_cells(folder, window)))
    precision_of(folder, batches)
    return watched(batches, training_step(batches.dataset()), *TRAIN_EPOCHS)


def measure_turns(folder: Path, window: int) -> dict[str, Any]:
    """Trains on the stream and on resident data in turns.

    A turn of the stream uses up a window and starts in the midst of one, so the window that it makes the pipeline read is read while
    it lasts, and costs the other side nothing.
    """
    cells = train_cells(open_cells(folder, window))
    batches = streamed(cells)
    copied = Cells("train", cells.rows, cells.labels, cells.pixel_cache.copy_out(cells.rows, "train"))  # type: ignore[attr-defined]
    resident = TrainingBatches(copied, batch_size=BATCH, chain=batches.chain, seed=0, resident_gb=16)
    precision = precision_of(folder, batches)
    each = batches.steps_per_epoch * window // len(batches.shards)
    sides = {"streamed": training_step(batches.dataset()), "resident": training_step(resident.dataset())}
    wall: dict[str, list[float]] = {"streamed": [], "resident": []}
    cpu: dict[str, list[float]] = {"streamed": [], "resident": []}
    for step in sides.values():
        for _ in range(each // 2):
            step()
    for number in range(ROUNDS):
        for name in list(sides)[:: 1 if number % 2 else -1]:
            start, cpu_start = time.perf_counter(), time.process_time()
            for _ in range(each):
                sides[name]()
            wall[name].append(1e3 * (time.perf_counter() - start) / each)
            cpu[name].append(1e3 * (time.process_time() - cpu_start) / each)
    return {"precision": precision, "steps": each, "wall clock": wall, "CPU time": cpu}


def measure_shuffle(folder: Path, window: int) -> dict[str, dict[str, float]]:
    """Compares the batches of one epoch with those of a full shuffle."""
    data = open_cells(folder, window)
    cells = train_cells(data)
    batches = StreamedBatches(cells, batch_size=BATCH, seed=0)
    epoch = cells.rows[np.array([places.numpy() for *_, places in batches.epoch_under_way(lambda: (0, 0))])]
    whole = np.random.default_rng(0).permutation(cells.rows)[: epoch.size].reshape(epoch.shape)
    manifest, first = data.manifest, batches.pixel_cache.cells.first
    found = {}
    for name, rows in (("streamed", epoch), ("full", whole)):
        of_shard = np.searchsorted(first, rows, side="right")
        pairs = [(counts * (counts - 1)).sum() / (BATCH * (BATCH - 1)) for counts in map(np.bincount, of_shard)]
        found[name] = {
            "patients": float(np.mean([len(np.unique(manifest.patient[batch])) for batch in rows])),
            "positives": float(np.std([manifest.label[batch].mean() for batch in rows])),
            "pairs": float(np.mean(pairs)),
        }
    return found


if __name__ == "__main__":
    main()
