"""Every model under one recipe: parameters, FLOPs, speed and test AUC on the real cells; writes docs/models.md's table and pictures.

    python benchmarks/models.py cell_images.zip [--epochs 5] [--runs FOLDER] [--docs docs]

Runs one multirun (the command is printed) over all models but the ensemble: same split, seed, augmentation, optimizer and number of
epochs, images of 64 px. With --runs, a multirun that was made before is read instead. Then, one at a time, measures how long each
trained model takes to score 1,000 cells (median and spread of 7 rounds in which the models take turns) and draws its architecture.
The table stands between the markers of docs/models.md and is made of the runs' own files; nothing in it is written by hand.
"""

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from malaria_exp import provenance
from malaria_exp.batches import Cells, Data
from malaria_exp.files import write_text
from malaria_exp.registry import build, options
from malaria_exp.tensorflow_setup import load_tensorflow

ROUNDS, SCORED = 7, 1000
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
MODELS = sorted(set(options("model")) - {"ensemble"})


def main() -> None:
    """Trains, measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", help="the NIH zip, or 'drawn' for drawn cells")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--runs", type=Path, help="folder of a multirun made before")
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    asked = parser.parse_args()
    data = [] if asked.archive == "drawn" else ["dataset=nih", f"dataset.path={asked.archive}"]
    command = [
        "run.py", "-m", f"model={','.join(MODELS)}", *data, "model.image_size=64", f"trainer.epochs={asked.epochs}", "trainer.precision=float32",
    ]  # fmt: skip
    runs = asked.runs or Path(tempfile.mkdtemp(prefix="malaria_exp_models_")) / "runs"
    if not asked.runs:
        print(f"python {' '.join(command)} hydra.sweep.dir={runs}", flush=True)
        subprocess.run([sys.executable, *command, f"hydra.sweep.dir={runs}"], check=True)
    load_tensorflow()
    rows = [read_run(folder) for folder in sorted(runs.iterdir(), key=lambda path: path.name) if (folder / "model.json").is_file()]
    measure_scoring(rows, build("dataset", *_dataset(asked.archive)))
    rows.sort(key=lambda row: -row["auc"]["value"])
    machine = provenance.machine()
    shown = " ".join(["python", *command]).replace(asked.archive, "cell_images.zip")
    table = write_table(rows, shown, f"{machine['processor']}, {machine['cores']} cores, float32, no GPU")
    print(table)
    draw(rows, asked.docs / "images" / "models")
    page = asked.docs / "models.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    write_text(page, f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}")
    print(f"wrote {page} and {len(rows)} pictures; the runs are in {runs}")


def _dataset(archive: str) -> tuple[str, dict[str, Any]]:
    return ("synthetic", {}) if archive == "drawn" else ("nih", {"path": archive})


def read_run(folder: Path) -> dict[str, Any]:
    """Returns what a finished run's files say."""
    model, metrics = (json.loads((folder / name).read_text(encoding="utf-8")) for name in ("model.json", "metrics.json"))
    with (folder / "history.csv").open(encoding="utf-8") as file:
        history = list(csv.DictReader(file))
    # The first epoch builds the graph.
    speeds = [1000 / float(row["cells_per_second"]) for row in history[1:] or history]
    test = metrics["subsets"]["test"]
    return {
        "folder": folder,
        "name": model["model"]["name"],
        "parameters": model["parameters"],
        "train": speeds,
        "auc": test["ranking"]["auc"],
    }


def measure_scoring(rows: list[dict[str, Any]], table: Any) -> None:
    """Adds to each row the seconds that scoring 1,000 cells took, each round; the models take turns."""
    from malaria_exp.images import ResizeRule
    from malaria_exp.model_facts import flops
    from malaria_exp.saved import load_model
    from malaria_exp.scoring import Scorer
    from malaria_exp.store import open_store

    with tempfile.TemporaryDirectory() as folder:
        manifest = build("split", "patient_holdout", {}, table)
        cells = Data(manifest, open_store(table, ResizeRule(64, "pad"), Path(folder))).training()[0]
        cells = Cells(cells.subset, cells.rows[:SCORED], cells.labels[:SCORED], cells.store)
        scorers = []
        for row in rows:
            model = load_model(row["folder"])[0]
            row["flops"], row["score"] = flops(model), []
            scorers.append(Scorer(model, batch_size=250))
            scorers[-1](cells)
        for _ in range(ROUNDS):
            for row, scorer in zip(rows, scorers, strict=True):
                start = time.perf_counter()
                scorer(cells)
                row["score"].append(time.perf_counter() - start)


def write_table(rows: list[dict[str, Any]], command: str, machine: str) -> str:
    """Returns the table in Markdown."""
    from malaria_exp.evaluation._plots_model import human_flops

    lines = [
        f"Measured on {machine}, by `python benchmarks/models.py cell_images.zip`, which runs",
        "",
        "```",
        command,
        "```",
        "",
        "| model | parameters | a cell | s to train on 1,000 cells | s to score 1,000 cells | test AUC |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        value, low, high = (f"{row['auc'][key]:.3f}".lstrip("0") for key in ("value", "low", "high"))
        lines.append(
            f"| [{row['name']}](images/models/{row['name']}.png) | {row['parameters']:,} | {human_flops(row['flops'])} |"
            f" {spread(row['train'])} | {spread(row['score'])} | {value} ({low} to {high}) |"
        )
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    """Returns median, smallest and largest."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def draw(rows: list[dict[str, Any]], folder: Path) -> None:
    """Writes the picture of each model."""
    from malaria_exp.evaluation._plots_model import draw_architecture
    from malaria_exp.evaluation.plots import save_png
    from malaria_exp.model_facts import layer_facts
    from malaria_exp.saved import load_model

    for row in rows:
        model = load_model(row["folder"])[0]
        save_png(draw_architecture(row["name"], model.input_shape[1:], layer_facts(model), row["flops"]), folder / f"{row['name']}.png")


if __name__ == "__main__":
    main()
