"""This project beside its peers: the same machine, the same training and test patients, each side by its own best-known recipe.

    python benchmarks/peers.py cell_images.zip [--rounds 1] [--sides 'timm resnet10t;default'] [--work peers] [--docs docs]

Sides: the notebooks' LeNet at 224 px (images decoded in every epoch), the network of Keras' tutorial, timm's resnet10t and resnet18 in a plain
PyTorch loop (images in memory, one cycle of the learning rate, bfloat16 where the processor computes in it), fastai's learner, and this project's default,
`experiment=speedrun` and one fold of `experiment=accuracy_record`. All are trained from random weights. The program makes an environment for PyTorch
and one for Keras in --work, with the versions below; this project runs in that of the caller. Sides take turns, each a process of its own with nothing
decoded before. What a turn gave is kept in --work, so a program that was stopped goes on; begin in another folder to measure anew.

Of each: seconds of training (with the scoring of validation patients after each epoch) and of the whole process, CPU seconds, peak memory, AUC and
accuracy on test patients with intervals over patients, and seconds of training until the AUC of validation patients reached .985 and .990. With --docs it
writes the table and the plot of docs/peers.md. Takes about an hour on 2 cores, most of it for the notebooks' way.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import time
import zipfile
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from pathlib import Path

import numpy as np
from matplotlib.ticker import LogLocator, NullLocator

from malaria_exp.config.registry import build
from malaria_exp.data.split_manifest import Manifest
from malaria_exp.evaluation.metrics import Ranking
from malaria_exp.evaluation.plots.style import BLUE, VERMILLION, dress, new_axes, save_png
from malaria_exp.evaluation.predictions import read
from malaria_exp.utils.atomic_files import write_between, write_json
from malaria_exp.utils.machine import instructions, machine

ROOT = Path(__file__).resolve().parent.parent
TORCH, KERAS = "torch_sides.py", "keras_sides.py"
PACKAGES = {
    TORCH: ["torch==2.14.1", "torchvision==0.29.1", "timm==1.0.31", "fastai==2.8.12", "numpy", "pillow"],
    KERAS: ["tensorflow==2.21.0", "keras==3.15.1", "pillow"],
}
PEERS = {
    "notebooks": KERAS,
    "keras tutorial": KERAS,
    "fastai resnet18": TORCH,
    "timm resnet18": TORCH,
    "timm resnet10t": TORCH,
}
OWN = {
    "default": [],
    "speedrun": ["experiment=speedrun"],
    # The preset's folds are a multirun; here its one configuration on the split that all sides share.
    "accuracy_record": ["experiment=accuracy_record", "hydra.mode=RUN", "split=patient_holdout"],
}
GOALS = (0.985, 0.990)


@dataclass
class Measured:
    """What one turn of a side gave.

    Attributes:
        train_seconds: of training, validation included.
        seconds: wall-clock time of the whole process.
        cpu_seconds: of all its threads and children.
        memory_gb: its largest resident memory.
        parameters: weights of the model.
        curve: (seconds of training, AUC of validation patients) after each epoch; nan where the side does not score them.
        scores: of the test cells, by cell_id.
    """

    train_seconds: float
    seconds: float
    cpu_seconds: float
    memory_gb: float
    parameters: int
    curve: list[tuple[float, float]] = field(repr=False)
    scores: dict[str, float] = field(repr=False)

    def reached(self, goal: float) -> float | None:
        """Returns the seconds of training until the validation patients' AUC reached the goal, or None."""
        return next((seconds for seconds, auc in self.curve if auc >= goal), None)


def main() -> int:
    """Runs all sides in turns, prints the table, and writes it into docs on request."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="NIH's cell_images.zip")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--sides", default=";".join([*PEERS, *OWN]))
    parser.add_argument("--work", type=Path, default=Path("peers"), help="folder for environments, cells and runs")
    parser.add_argument("--docs", type=Path, help="folder with peers.md")
    asked = parser.parse_args()
    sides = asked.sides.split(";")
    if unknown := [side for side in sides if side not in {**PEERS, **OWN}]:
        parser.error(f"no side '{unknown[0]}'; sides: {'; '.join([*PEERS, *OWN])}")
    facts = machine()
    print(f"{facts['processor']} ({' '.join(instructions())}), {facts['cores']} cores, {facts['memory_gb']} GB", flush=True)
    asked.work.mkdir(parents=True, exist_ok=True)
    python = {script: environment(asked.work, script) for script in sorted({PEERS[side] for side in sides if side in PEERS})}
    manifest = unpack(asked.archive, asked.work / "cells")
    found: dict[str, list[Measured]] = {side: [] for side in sides}
    for turn in range(asked.rounds):
        for side in sides:
            print(f"round {turn + 1} of {asked.rounds}: {side}", flush=True)
            out = asked.work / f"{side.replace(' ', '_')}_{turn}"
            kept = out.with_suffix(".json")
            if not kept.exists():
                if side in PEERS:
                    measured = run_peer(python[PEERS[side]], side, asked.work / "cells", out.with_suffix(".npz"), manifest)
                else:
                    measured = run_own(side, asked.archive, out)
                write_json(kept, asdict(measured))
            found[side].append(Measured(**json.loads(kept.read_text(encoding="utf-8"))))
    lines = table(found, manifest)
    print("\n".join(lines))
    if asked.docs:
        head = f"{facts['processor']}, {facts['cores']} cores, {' '.join(instructions())}; rounds: {asked.rounds}."
        write_between(asked.docs / "peers.md", "peers", "\n".join([head, "", *lines]))
        plot(found, manifest, asked.docs / "images" / "peers.png")
    return 0


def environment(work: Path, script: str) -> Path:
    """Makes the environment of a script's sides, where it is not there yet, and returns its Python."""
    folder = work / f"env_{script.partition('_')[0]}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print(f"installing {' '.join(PACKAGES[script])} into {folder}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PACKAGES[script]], check=True)
        (folder / "complete").touch()
    return python


def unpack(archive: Path, folder: Path) -> Manifest:
    """Writes each cell of the split to train, val or test and its class, and returns the split: the default one, seed 0."""
    cells = build("dataset", "nih", {"path": str(archive)})
    manifest: Manifest = build("split", "patient_holdout", {}, cells)
    with zipfile.ZipFile(archive) as source:
        members = {Path(name).stem: name for name in source.namelist() if name.endswith(".png")}
        for subset in ("train", "val", "test"):
            for row in manifest.rows(subset):
                member = members[manifest.cell_id[row]]
                target = folder / subset / Path(member).parent.name / Path(member).name
                if not target.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(source.read(member))
    return manifest


def timed(command: list[str]) -> tuple[float, float, float]:
    """Runs a program and returns its wall-clock seconds, its CPU seconds, and its peak memory in GB.

    Raises:
        SystemExit: the program failed; its last lines are shown.
    """
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
    assert process.stdout is not None
    lines = list(process.stdout)  # read to the end, or a full pipe would stop it
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed:\n{''.join(lines[-15:])}")
    return time.perf_counter() - begin, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e6


def run_peer(python: Path, side: str, cells: Path, out: Path, manifest: Manifest) -> Measured:
    """Runs a peer's side and reads what it wrote."""
    script = ROOT / "benchmarks" / "peer_sides" / PEERS[side]
    seconds, cpu, memory = timed([str(python.absolute()), str(script), side, str(cells.absolute()), str(out.absolute())])
    with np.load(out, allow_pickle=False) as arrays:
        got = {name: arrays[name] for name in arrays}
    labels = dict(zip(manifest.cell_id, manifest.label, strict=True))
    truth = np.array([labels[Path(name).stem] for name in got["val_files"]])
    curve = [
        (float(second), Ranking(truth, scores.astype(float)).auc_and_average_precision()[0] if np.isfinite(scores).all() else float("nan"))
        for second, scores in zip(got["epoch_seconds"], got["val_scores"], strict=True)
    ]
    scores = {Path(name).stem: float(score) for name, score in zip(got["test_files"], got["test_scores"], strict=True)}
    return Measured(float(got["train_seconds"]), seconds, cpu, memory, int(got["parameters"]), curve, scores)


def run_own(side: str, archive: Path, folder: Path) -> Measured:
    """Runs this project's command and reads its run folder."""
    data = ["dataset=nih", f"dataset.path={archive.absolute()}", f"cache.root={(folder / 'cache').absolute()}"]
    command = [sys.executable, str(ROOT / "run.py"), *data, *OWN[side], f"hydra.run.dir={(folder / 'run').absolute()}"]
    seconds, cpu, memory = timed(command)
    training = json.loads((folder / "run" / "metrics.json").read_text(encoding="utf-8"))["training"]
    with (folder / "run" / "history.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    ends = accumulate(float(row["seconds"]) for row in rows)
    curve = [(end, float(row["val_auc"])) for end, row in zip(ends, rows, strict=True)]
    test = read(folder / "run" / "predictions.csv").select("test")
    scores = dict(zip(test.cell_id.tolist(), test.score.tolist(), strict=True))
    return Measured(training["train_seconds"], seconds, cpu, memory, training["parameters"], curve, scores)


def table(found: dict[str, list[Measured]], manifest: Manifest) -> list[str]:
    """Returns the lines of the table: medians of the rounds; AUC and accuracy of the first."""
    goals = " | ".join(f"s to AUC {goal:.3f}" for goal in GOALS)
    lines = [
        f"| side | parameters | training, s | whole process, s | CPU, s | memory, GB | test AUC | test accuracy | {goals} |",
        "|" + "---|" * (8 + len(GOALS)),
    ]
    for side, turns in found.items():
        first = turns[0]

        def middle(name: str, turns: list[Measured] = turns, digits: int = 0) -> str:
            values = [getattr(turn, name) for turn in turns]
            spread = f" ({min(values):.{digits}f} to {max(values):.{digits}f})" if len(values) > 1 else ""
            return f"{statistics.median(values):.{digits}f}{spread}"

        rates = [f"{cell['value']:.4f} ({cell['low']:.4f} to {cell['high']:.4f})" for cell in intervals(first.scores, manifest)]
        reached = ["no" if (when := first.reached(goal)) is None else f"{when:.0f}" for goal in GOALS]
        times = [middle("train_seconds"), middle("seconds"), middle("cpu_seconds"), middle("memory_gb", digits=1)]
        lines.append("| " + " | ".join([side, f"{first.parameters:,}", *times, *rates, *reached]) + " |")
    return lines


def intervals(scores: dict[str, float], manifest: Manifest) -> tuple[dict[str, float], dict[str, float]]:
    """Returns AUC and accuracy of the test cells, each as {"value", "low", "high"}, by the default's intervals over patients."""
    rows = manifest.rows("test")
    values = np.array([scores[name] for name in manifest.cell_id[rows]])
    limits = build("interval", "clustered", {})(
        manifest.label[rows], values, manifest.patient[rows], {"fixed": 0.5}, resamples=1000, confidence=0.95, seed=0
    )
    return limits["ranking"]["auc"], limits["at"]["fixed"]["accuracy"]


def plot(found: dict[str, list[Measured]], manifest: Manifest, path: Path) -> None:
    """Draws the test AUC of each side with its interval over the seconds of its training."""
    figure, axes = new_axes(False, (6.4, 4.2))

    def seconds(side: str) -> float:
        return statistics.median(turn.train_seconds for turn in found[side])

    for side, turns in found.items():
        cell = intervals(turns[0].scores, manifest)[0]
        x = seconds(side)
        errors = [[cell["value"] - cell["low"]], [cell["high"] - cell["value"]]]
        axes.errorbar(x, cell["value"], errors, marker="o" if side in OWN else "s", color=VERMILLION if side in OWN else BLUE, capsize=3)
        axes.annotate(side, (x, cell["value"]), xytext=(6, 4), textcoords="offset points", fontsize=8)
    axes.set_xscale("log")
    axes.set_xlim(0.5 * min(map(seconds, found)), 3 * max(map(seconds, found)))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    dress(
        axes,
        "Round: this project. Square: others. Bars: 95 % intervals over patients",
        "training on this machine (s)",
        "AUC on test patients",
    )
    save_png(figure, path)


if __name__ == "__main__":
    sys.exit(main())
