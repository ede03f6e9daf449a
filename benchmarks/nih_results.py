"""The table of results on the NIH cells in README.md: runs every row's command and prints the table.

    python benchmarks/nih_results.py cell_images.zip [row ...]

Each row is a multirun under outputs/nih_results/<row>/; a row that is there already is only read. Prints the machine, and for
each row the mean over its jobs with the smallest and the largest value. Sensitivity and specificity are at threshold .5.
All rows together take about forty minutes on two cores.
"""

import csv
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
# Row: what it is, and its overrides.
ROWS: dict[str, tuple[str, list[str]]] = {
    "cellnet": ("cellnet, 5 seeds, each with test patients of its own", SEEDS),
    "cellnet_kfold": ("cellnet, 5 patient folds: everyone tested once", ["split=patient_kfold", "split.fold=0,1,2,3,4"]),
    "cellnet_leaky": (
        "cellnet, cells split instead of patients, 2 seeds: LEAKY",
        ["split=cell_level_leaky", "seed=0,1", "split.seed=${seed}"],
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
        lines.append(f"| {title} | " + " | ".join(summarize(FOLDER / name / "jobs.csv")) + f" | {shown} |")
    print("| | AUC | accuracy | sensitivity | specificity | seconds a run | command |\n|---|---|---|---|---|---|---|")
    print("\n".join(lines))
    return 0


def summarize(path: Path) -> list[str]:
    """Returns "mean (smallest to largest)" of each metric over a multirun's jobs."""
    with path.open(encoding="utf-8", newline="") as file:
        jobs = list(csv.DictReader(file))
    cells = []
    for name in METRICS:
        values = [float(job[name]) for job in jobs if job["status"] == "done"]
        digits = 0 if name == "seconds" else 3
        low, mean, high = (f"{value:.{digits}f}" for value in (min(values), statistics.mean(values), max(values)))
        cells.append(f"{mean} ({low} to {high})" if len(values) > 1 else mean)
    return cells


if __name__ == "__main__":
    sys.exit(main())
