"""Kills runs at random moments, goes on with them, and compares what they leave with runs that nobody touched.

    python benchmarks/kill_and_resume.py [--kills 50] [--seed 0] [--kinds 'fit;streamed'] [--keep folder]
    python benchmarks/kill_and_resume.py --long 60 [--every 5]

Each kind of run (trainer, precision, data, loggers) is made once without a kill: the twin. Then runs of the same command get kill -9 at
a random moment between their first import and their report, some of them twice, and go on with task=resume. Equal to the twin must be,
byte by byte, predictions.csv, split.csv and config.yaml; and every weight of model.keras, every value of history.csv and metrics.json
but for the times. Of events.jsonl and of TensorBoard's files, every step and epoch must stand there once. Prints the machine, a line for
each kill with the phase it fell into, and the counts; exits with 1 if a run differs.

With --long, one training of so many minutes on more cells is killed every five minutes, beside its twin, each with one thread.
"""

import argparse
import csv
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

from malaria_exp.components.logger.tensorboard import read_events
from malaria_exp.utils.machine import machine

ROOT = Path(__file__).resolve().parent.parent
BASE = [
    "dataset.infected_patients=12",
    "dataset.healthy_patients=5",
    "dataset.cells_per_patient=16",
    "dataset.cell_size=48",
    "model.image_size=32",
    "batch_size=16",
    "trainer.epochs=4",
    # Of so few cells every epoch would hold all; what chooses the later ones' cells has to be resumed too.
    "sampling.warm_steps=0",
    "trainer.precision=float32",
    "trainer.checkpoint='3 steps'",
    "evaluation.resamples=50",
    "evaluation.worst=4",
    "logger=[csv,jsonl,tensorboard]",
    "logger.tensorboard.figures=0",
    "logger.tensorboard.gradients=0",
    "logger.tensorboard.images=false",
    "callback=[nan_guard,early_stopping,plateau,checkpoints]",
]
STAGES = "trainer.stages=[{epochs: 1, train: [logit]}, {epochs: 3, train: ['*'], learning_rate: 0.3}]"
KINDS = {
    "fit": [],
    "loop, bfloat16": ["trainer=loop", "trainer.precision=bfloat16"],
    "staged, ema": ["trainer=staged", STAGES, "trainer.ema=0.9"],
    "fit, float16, accumulate": ["trainer.precision=float16", "trainer.accumulate=2", "optimizer=sgd"],
    "memory-mapped, cutmix": ["cache.resident_gb=0", "aug=[dihedral,cutmix]", "model.dropout=0.3"],
    "streamed": ["dataset=shards"],
    "mirrored loop": ["trainer=loop", "trainer.strategy=mirrored", "optimizer.clip_norm=null", "plugins=[two_devices]"],
    "mirrored fit": ["trainer.strategy=mirrored", "optimizer.clip_norm=null", "plugins=[two_devices]"],
}
# A user's module that makes two devices of the processor, for tf.distribute to mirror.
TWO_DEVICES = """
import tensorflow as tf

tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
"""
TIMES = ("seconds", "cells_per_second")


def main() -> int:
    """Kills, compares and prints."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--kills", type=int, default=50)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--kinds", type=lambda text: text.split(";"), default=list(KINDS), help="separated by semicolons")
    arguments.add_argument("--keep", type=Path, help="a folder that the runs stay in")
    arguments.add_argument("--long", type=float, metavar="MINUTES", help="one long training instead")
    arguments.add_argument("--every", type=float, default=5.0, help="with --long: minutes between two kills")
    given = arguments.parse_args()
    print(machine())
    if given.long:
        return long_training(given.long, given.every, given.keep or Path(tempfile.mkdtemp()))
    work = given.keep or Path(tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    (work / "two_devices.py").write_text(TWO_DEVICES)
    os.environ["PYTHONPATH"] = str(work)
    rng = random.Random(given.seed)
    commands = {kind: command(kind, work) for kind in given.kinds}
    twins, seconds = {}, {}
    for number, (kind, words) in enumerate(commands.items()):
        twins[kind] = work / f"twin-{number}"
        began = time.perf_counter()
        check(run([*words, f"hydra.run.dir={twins[kind]}"]))
        seconds[kind] = time.perf_counter() - began
        print(f"twin of '{kind}': {seconds[kind]:.1f} s", flush=True)
    phases, wrong = Counter[str](), 0
    for number in range(given.kills):
        kind = given.kinds[number % len(given.kinds)]
        folder = work / f"run-{number:03d}"
        fell: list[str] = []
        while len(fell) < 1 + (number % 3 == 2):
            fell.append(kill(begin(folder, commands[kind]), folder, rng.uniform(0, seconds[kind])))
            if fell[-1] == "done":
                # It was faster than its twin: another one, killed at another moment.
                shutil.rmtree(folder)
                fell = []
        while phase(folder) != "done":
            check(run(begin(folder, commands[kind])))
        phases.update(fell)
        different = differences(folder, twins[kind])
        wrong += bool(different)
        print(f"{number:3d}  {kind:<26} killed in: {', then '.join(fell):<32} {'; '.join(different) or 'equal'}", flush=True)
        if not different and not given.keep:
            shutil.rmtree(folder)
    print(f"kills by phase: {dict(phases)}")
    print(f"{given.kills - wrong} of {given.kills} runs equal their twin, {wrong} differ")
    return 1 if wrong else 0


def long_training(minutes: float, every: float, work: Path) -> int:
    """Kills one training every so many minutes, and compares it with its twin, which runs beside it."""
    threads = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    os.environ |= dict.fromkeys(threads, "1")
    own = ["sampling.warm_steps=0", "trainer.precision=float32", "logger=[csv,jsonl,tensorboard]", "evaluation.resamples=100"]
    words = [*own, f"cache.root={work / 'cache'}"]
    began = time.perf_counter()
    # The first two epochs hold all cells; those after them, which are most of a long training, the cells that are not yet easy.
    check(run([*words, "trainer.epochs=4", f"hydra.run.dir={work / 'probe'}"]))
    each = [float(row["seconds"]) for row in csv.DictReader((work / "probe" / "history.csv").open(newline=""))][-1]
    print(f"four epochs took {time.perf_counter() - began:.0f} s, the last {each:.1f} s", flush=True)
    words.append(f"trainer.epochs={max(2, round(60 * minutes / each))}")
    folder, twin = work / "run", work / "twin"
    other = subprocess.Popen([sys.executable, str(ROOT / "run.py"), *words, f"hydra.run.dir={twin}"], stderr=subprocess.DEVNULL, cwd=ROOT)
    kills = 0
    while (fell := kill(begin(folder, words), folder, 60 * every)) != "done":
        kills += 1
        epochs = len((folder / "history.csv").read_text().splitlines()) - 1 if (folder / "history.csv").exists() else 0
        print(f"{(time.perf_counter() - began) / 60:5.1f} min: killed in: {fell}, after {epochs} epochs", flush=True)
    other.wait()
    different = differences(folder, twin)
    print(f"{words[-1]}, {kills} kills, {(time.perf_counter() - began) / 60:.0f} min: {'; '.join(different) or 'equal to its twin'}")
    return 1 if different else 0


def command(kind: str, work: Path) -> list[str]:
    """Returns the overrides of a kind of run; shards are written first where it needs them."""
    words = [*BASE, f"cache.root={work / 'cache'}", *KINDS[kind]]
    if "trainer=staged" in words:
        # Its stages say how long it is.
        words = [item for item in words if not item.startswith("trainer.epochs")]
    if "dataset=shards" in words:
        synthetic = [item for item in BASE if item.startswith("dataset.")]
        check(run(["task=prepare", f"task.to={work / 'shards'}", "task.shard_mb=1", *synthetic, "model.image_size=32"]))
        words = [item for item in words if item not in synthetic] + [f"dataset.path={work / 'shards'}"]
    return words


def begin(folder: Path, words: list[str]) -> list[str]:
    """Returns the command that goes on with a run; of one that was killed before it had written its configuration, the first one again."""
    begun = (folder / "status.json").exists() and (folder / "status.json").stat().st_size
    plugins = [item for item in words if item.startswith("plugins=")]
    return ["task=resume", f"run={folder}", *plugins] if begun else [*words, f"hydra.run.dir={folder}"]


def run(words: list[str]) -> "subprocess.CompletedProcess[str]":
    """Runs the program to its end."""
    return subprocess.run([sys.executable, str(ROOT / "run.py"), *words], capture_output=True, text=True, cwd=ROOT, check=False)


def check(done: "subprocess.CompletedProcess[str]") -> None:
    """Ends this program if the other has failed."""
    if done.returncode:
        sys.exit(f"{' '.join(done.args)} ended with {done.returncode}:\n{done.stderr}")


def kill(words: list[str], folder: Path, after: float) -> str:
    """Starts the program, kills it after some seconds, and returns the phase that it was in."""
    log = folder.with_suffix(".txt")
    with log.open("w") as file:
        process = subprocess.Popen([sys.executable, str(ROOT / "run.py"), *words], stdout=file, stderr=file, cwd=ROOT)
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    found = phase(folder)
    if found != "done" and process.returncode not in (0, -signal.SIGKILL):
        sys.exit(f"{' '.join(words)} ended with {process.returncode}:\n{log.read_text()}")
    return found


def phase(folder: Path) -> str:
    """Returns how far a run had come, from the files in its folder."""
    status = folder / "status.json"
    if not status.exists() or not status.stat().st_size:
        return "imports"
    if json.loads(status.read_text())["status"] == "done":
        return "done"
    for file, name in (("metrics.json", "report"), ("model.json", "evaluation"), ("resume", "training")):
        if (folder / file).exists():
            return name
    return "first steps" if (folder / "split.csv").exists() else "data"


def differences(folder: Path, twin: Path) -> list[str]:
    """Returns what differs between two run folders, in words."""
    found = [name for name in ("predictions.csv", "split.csv") if (folder / name).read_bytes() != (twin / name).read_bytes()]
    found += [name for name, read in READERS.items() if read(folder) != read(twin)]
    if left := [path.name for path in folder.iterdir() if path.name.startswith(".") or path.name == "resume"]:
        found.append(f"left: {left}")
    return found


def history(folder: Path) -> Any:
    """Returns the rows of history.csv as text, without the times."""
    with (folder / "history.csv").open(newline="") as file:
        return [{key: value for key, value in row.items() if key not in TIMES} for row in csv.DictReader(file)]


def metrics(folder: Path) -> Any:
    """Returns metrics.json without the time, and without how often the twins have opened the same test set."""
    found = json.loads((folder / "metrics.json").read_text())
    del found["training"]["train_seconds"], found["test_access"]
    return found


def weights(folder: Path) -> Any:
    """Returns the bytes of every weight in model.keras by its path."""
    import h5py  # type: ignore[import-untyped]

    found: dict[str, bytes] = {}
    with zipfile.ZipFile(folder / "model.keras") as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        file.visititems(lambda path, item: found.update({path: item[()].tobytes()}) if isinstance(item, h5py.Dataset) else None)
    return found


def events(folder: Path) -> Any:
    """Returns the points of events.jsonl in their order, without the times."""
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [
        {key: value for key, value in line.items() if key not in (*TIMES, "time")} for line in lines if line["event"] in ("step", "epoch")
    ]


def tensorboard(folder: Path) -> Any:
    """Returns TensorBoard's points: tag and step of each, in their order."""
    events = read_events(sorted((folder / "tensorboard").glob("events.out.tfevents.*")))
    return sorted((value.tag, event.step) for event in events for value in event.summary.value)


READERS = {"history.csv": history, "metrics.json": metrics, "model.keras": weights, "events.jsonl": events, "tensorboard": tensorboard}

if __name__ == "__main__":
    sys.exit(main())
