"""Every model under one recipe: parameters, FLOPs, speed and test AUC; writes the table and the pictures of docs/models.md.

    python benchmarks/models.py cell_images.zip [--epochs 3] [--runs FOLDER] [--docs docs] [override ...]
    python benchmarks/models.py --from FOLDER [--docs docs]      from runs that were made before
    python benchmarks/models.py synthetic --epochs 1 --docs /tmp/docs dataset.cells_per_patient=8      to try it, on synthetic cells

Trains all registered models but the ensemble, transfer with two backbones, in two multiruns whose commands are printed: same
patients, seed, augmentation, optimizer, learning rate and number of epochs, images of 64 px. Then measures, one model at a time in
this process, how long each takes to score 1,000 cells (7 rounds in which the models take turns), and draws its architecture. The
table stands between the markers of DOCS/models.md and is made of the runs' own files; nothing in it is written by hand.
"""

import argparse
import csv
import json
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from malaria_exp.config.registry import build, options
from malaria_exp.data.subsets import Cells
from malaria_exp.utils.atomic_files import write_between
from malaria_exp.utils.machine import machine
from malaria_exp.utils.tensorflow_setup import load_tensorflow

ROOT = Path(__file__).resolve().parent.parent
ROUNDS, SCORED, BATCH = 7, 1000, 250
RECIPE = ["experiment=plain_training", "model.image_size=64", "optimizer.learning_rate=0.001", "trainer.precision=float32"]
# The other backbones take minutes an epoch on two cores.
BACKBONES = ["mobilenet_v2", "efficientnet_b0"]
MULTIRUNS = {
    "models": [f"model={','.join(sorted(set(options('model')) - {'ensemble', 'transfer'}))}"],
    "backbones": ["model=transfer", f"model.backbone={','.join(BACKBONES)}"],
}


def main() -> int:
    """Trains, measures and writes; returns 1 if a run did not end well."""
    asked, overrides = parse()
    runs, failed = asked.source or train(asked, overrides), 0
    finished, rows = sorted(path.parent for path in runs.rglob("status.json")), []
    for folder in finished:
        status = read_json(folder / "status.json")
        if status["status"] == "done":
            rows.append(read_run(folder))
        else:
            failed = 1
            print(f"{folder}: {status['status']}, excluded: {status.get('reason', '')}")
    if not rows:
        print(f"{runs}: no finished run")
        return 1
    load_tensorflow()
    measure(rows)
    rows.sort(key=lambda row: (-(row["auc"]["value"] or 0), row["label"]))
    table = describe(rows)
    print(table)
    draw(rows, asked.docs / "images" / "models")
    page = asked.docs / "models.md"
    write_between(page, "table", table)
    print(f"wrote {page} and {len(rows)} pictures; the runs are in {runs}")
    return failed


def parse() -> tuple[argparse.Namespace, list[str]]:
    """Returns what was asked for, and the overrides for all runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", nargs="?", help="the NIH zip, or 'synthetic' for synthetic cells")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--runs", type=Path, help="where the multiruns go; a temporary folder if not given")
    parser.add_argument("--from", dest="source", type=Path, metavar="FOLDER", help="folder of multiruns made before; nothing is trained")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    asked, overrides = parser.parse_known_args()
    wrong = [item for item in overrides if "=" not in item or item.startswith("-")]
    if wrong or bool(asked.archive) == bool(asked.source):
        parser.error(f"unknown: {wrong[0]}" if wrong else "give a zip, or --from a folder of finished runs")
    return asked, overrides


def train(asked: argparse.Namespace, overrides: list[str]) -> Path:
    """Runs the multiruns and returns the folder that holds them; a run that fails does not end the others."""
    data = [] if asked.archive == "synthetic" else ["dataset=nih", f"dataset.path={asked.archive}"]
    runs: Path = asked.runs or Path(tempfile.mkdtemp(prefix="malaria_exp_models_"))
    for name, models in MULTIRUNS.items():
        command = ["run.py", "-m", *models, *data, *RECIPE, f"trainer.epochs={asked.epochs}", "evaluation.test=true", *overrides]
        command += [f"hydra.sweep.dir={runs / name}"]
        print(f"python {shlex.join(command)}", flush=True)
        subprocess.run([sys.executable, str(ROOT / command[0]), *command[1:]], check=False)
    return runs


def read_json(path: Path) -> Any:
    """Reads a file of a run."""
    return json.loads(path.read_text(encoding="utf-8"))


def read_run(folder: Path) -> dict[str, Any]:
    """Returns what a finished run's files say."""
    model, metrics, record = (read_json(folder / name) for name in ("model.json", "metrics.json", "provenance.json"))
    with (folder / "history.csv").open(encoding="utf-8") as file:
        history = list(csv.DictReader(file))
    name, backbone = model["model"]["name"], model["model"]["params"].get("backbone")
    return {
        "folder": folder,
        "label": f"model={name}" + (f" model.backbone={backbone}" if backbone else ""),
        "picture": f"{name}_{backbone}" if backbone else name,
        "parameters": model["parameters"],
        "size": model["input"]["size"],
        # The first epoch builds the graph.
        "train": [1000 / float(row["cells_per_second"]) for row in history[1:] or history],
        "auc": metrics["subsets"]["test"]["ranking"]["auc"],
        "test": metrics["subset_counts"]["test"],
        "shared": [item for item in status_overrides(folder) if not re.match(r"model(\.backbone)?=|hydra\.", item)],
        "machine": record["machine"],
    }


def status_overrides(folder: Path) -> list[str]:
    """Returns the overrides of a run, the archive by its usual name."""
    return [
        re.sub(r"^dataset\.path=.*", "dataset.path=cell_images.zip", item)
        for item in read_json(folder / "status.json").get("overrides", [])
    ]


def measure(rows: list[dict[str, Any]]) -> None:
    """Adds to each row its facts and the seconds that scoring 1,000 cells took, each round; the models take turns."""
    from malaria_exp.data.pixel_cache import MappedPixelCache
    from malaria_exp.data.resize import ResizeRule
    from malaria_exp.evaluation.model_summary import model_facts
    from malaria_exp.runs.saved_model import load_model
    from malaria_exp.training.predict import Scorer

    draws = np.random.default_rng(0)
    scorers = []
    for row in rows:
        # A net takes as long for noise as for cells.
        images = draws.integers(0, 256, (SCORED, row["size"], row["size"], 3), np.uint8)
        pixel_cache = MappedPixelCache(row["folder"], ResizeRule(row["size"], "pad"), images, np.arange(SCORED))
        cells = Cells("test", np.arange(SCORED), np.zeros(SCORED, np.int8), pixel_cache)
        model = load_model(row["folder"]).uncalibrated
        row["facts"], row["score"] = model_facts(model), []
        scorers.append((row, Scorer(model, BATCH), cells))
        scorers[-1][1].logits(cells)
    for _ in range(ROUNDS):
        for row, scorer, cells in scorers:
            start = time.perf_counter()
            scorer.logits(cells)
            row["score"].append(time.perf_counter() - start)


def describe(rows: list[dict[str, Any]]) -> str:
    """Returns the table in Markdown with what was run and on what."""
    from malaria_exp.data.cell_table import of_patients
    from malaria_exp.evaluation.plots.model import human_flops

    test = rows[0]["test"]
    machines = list(dict.fromkeys(describe_machine(machine) for machine in (rows[0]["machine"], machine())))
    lines = [
        f"Each row is `python run.py`, what stands in its first column, and `{' '.join(rows[0]['shared'])}`. Test:"
        f" {test['cells']:,} cells {of_patients(test, known=test['patients'] is not None)}. "
        + (f"Trained and scored on {machines[0]}." if len(machines) == 1 else f"Trained on {machines[0]}; scored on {machines[1]}."),
        "",
        "| | parameters | FLOPs a cell | s to train on 1,000 cells | s to score 1,000 cells | test AUC | picture |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{row['label']}` | {row['parameters']:,} | {human_flops(row['facts'].flops).removesuffix('FLOPs')} | {spread(row['train'])} |"
        f" {spread(row['score'])} | {interval(row['auc'])} | [picture](images/models/{row['picture']}.png) |"
        for row in rows
    ]
    return "\n".join(lines)


def describe_machine(machine: dict[str, Any]) -> str:
    """Returns processor, cores and GPUs in words."""
    gpus = ", ".join(machine.get("gpus", [])) or "no GPU"
    return f"{machine['cores']} cores of {machine['processor']}, {gpus}"


def spread(values: list[float]) -> str:
    """Returns median, smallest and largest."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def interval(auc: dict[str, Any]) -> str:
    """Returns the AUC with its interval over patients, as far as they are defined."""
    if auc["value"] is None:
        return "undefined"
    value, *bounds = (None if auc[key] is None else f"{auc[key]:.3f}".removeprefix("0") for key in ("value", "low", "high"))
    return str(value) if None in bounds else f"{value} ({bounds[0]} to {bounds[1]})"


def draw(rows: list[dict[str, Any]], folder: Path) -> None:
    """Writes the picture of each model, and of an ensemble of the first two that take images of one size."""
    from malaria_exp.evaluation.model_summary import model_facts
    from malaria_exp.evaluation.plots.model import draw_architecture
    from malaria_exp.evaluation.plots.style import save_png

    for row in rows:
        save_png(draw_architecture(row["picture"], row["facts"]), folder / f"{row['picture']}.png")
    members = [row for row in rows if row["size"] == rows[0]["size"]][:2]
    if len(members) == 2:
        net = build("model", "ensemble", {"runs": [str(row["folder"]) for row in members]})
        save_png(draw_architecture("ensemble", model_facts(net)), folder / "ensemble.png")


if __name__ == "__main__":
    sys.exit(main())
