"""The table of results on the NIH cells in README.md: runs every row's command and prints the table.

    python benchmarks/nih_results.py cell_images.zip [row ...]

Each row is a multirun under outputs/nih_results/<row>/; a row that is there already is only read. Prints the machine, and for each row the
pooled result with its 95 % interval (of a single run its own), and the mean seconds of its jobs with the smallest and the largest.
Sensitivity and specificity are at threshold .5. All rows together take about forty minutes on two cores.
"""

import csv
import json
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

from malaria_exp.utils.machine import machine

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path("outputs") / "nih_results"
METRICS = ("test_auc", "test_accuracy", "test_sensitivity", "test_specificity", "seconds")
SEEDS = ["seed=0,1,2,3,4", "split.seed=${seed}"]
PLAIN = "experiment=plain_cellnet"
# Row: what it is, and its overrides.
ROWS: dict[str, tuple[str, list[str]]] = {
    "cellnet_kfold": (
        "the default, 5 patient folds: everyone tested once",
        ["split=patient_kfold", "split.fold=range(5)"],
    ),
    "plain_kfold": (
        "the plain cellnet, the same folds",
        [PLAIN, "split=patient_kfold", "split.fold=range(5)"],
    ),
    "plain": ("the plain cellnet, 5 seeds, each with test patients of its own", [PLAIN, *SEEDS]),
    "plain_leaky": (
        "the plain cellnet, cells split instead of patients, 2 seeds: LEAKY",
        [PLAIN, "split=cell_level_leaky", "seed=0,1", "split.seed=${seed}"],
    ),
    "lenet_notebook": ("the notebooks' LeNet at 224 px, five epochs", ["experiment=lenet_notebook", "seed=0"]),
}


def main() -> int:
    """Runs what is missing and prints the table."""
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    names = sys.argv[2:] or list(ROWS)
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        print(f"No row {unknown[0]}; rows: {', '.join(ROWS)}")
        return 2
    print(machine())
    lines = []
    for name in names:
        title, overrides = ROWS[name]
        command = ["run.py", "-m", "dataset=nih", f"dataset.path={sys.argv[1]}", *overrides, f"hydra.sweep.dir={FOLDER / name}"]
        if not (FOLDER / name / "jobs.csv").exists():
            print("python " + shlex.join(command), flush=True)
            subprocess.run([sys.executable, str(ROOT / command[0]), *command[1:]], check=True)
        shown = f"`python run.py -m dataset=nih dataset.path=cell_images.zip {shlex.join(overrides)}`"
        lines.append(f"| {title} | " + " | ".join(summarize(FOLDER / name)) + f" | {shown} |")
    print("| | AUC | accuracy | sensitivity | specificity | seconds a run | command |\n|---|---|---|---|---|---|---|")
    print("\n".join(lines))
    return 0


def summarize(folder: Path) -> list[str]:
    """Returns "value (low to high)" of each metric of a multirun, and "mean (smallest to largest)" of its jobs' seconds."""
    pooled = folder / "pooled" / "table.csv"
    if pooled.exists():
        rows = {(row["metric"], row["threshold"]): row for row in _rows(pooled)}
        found = [rows.get((name, "")) or rows[name, "fixed"] for name in METRICS]
        cells = [f"{float(row['value']):.3f} ({float(row['low']):.3f} to {float(row['high']):.3f})" for row in found]
    else:
        subset = json.loads(next(folder.glob("*/metrics.json")).read_text(encoding="utf-8"))["subsets"]["test"]
        found = [subset["ranking"].get(name) or subset["at"]["fixed"][name] for name in METRICS]
        cells = [f"{cell['value']:.3f} ({cell['low']:.3f} to {cell['high']:.3f})" for cell in found]
    seconds = [float(job["seconds"]) for job in _rows(folder / "jobs.csv") if job["status"] == "done"]
    return [*cells, f"{statistics.mean(seconds):.0f} ({min(seconds):.0f} to {max(seconds):.0f})"]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    sys.exit(main())
