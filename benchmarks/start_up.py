"""How long it takes from pressing enter: to an answer of the listings, and to the first training step of a run.

    python benchmarks/start_up.py [cell_images.zip]

Starts each command several times as a process of its own. A run's first training step is where its first epoch begins; images
are decoded already, as in every run after the first. Prints the machine, and median, minimum and maximum in seconds.
"""

import csv
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from malaria_exp.utils.machine import machine

ROOT = Path(__file__).resolve().parent.parent
REPEATS = 5
LISTINGS = {
    "--help": ["--help"],
    "--cfg job": ["--cfg", "job"],
    "task=list": ["task=list"],
    "task=list task.show=model/cellnet": ["task=list", "task.show=model/cellnet"],
    "a wrong key": ["optimizer.lrr=1"],
}


def start(arguments: list[str]) -> float:
    """Runs the program and returns its wall-clock seconds."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, str(ROOT / "run.py"), *arguments], capture_output=True, check=False)
    return time.perf_counter() - begin


def seconds_to_training(data: list[str]) -> float:
    """Runs one short epoch and returns the seconds from the start of the process to the start of the epoch."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.time()
        start([*data, "trainer.epochs=1", "evaluation.resamples=10", f"hydra.run.dir={folder}/run"])
        history = Path(folder) / "run" / "history.csv"
        with history.open(encoding="utf-8", newline="") as file:
            (row,) = csv.DictReader(file)
        # The row is written right at the epoch's end.
        return history.stat().st_mtime - float(row["seconds"]) - begin


def main() -> None:
    """Measures and prints."""
    data = ["dataset=nih", f"dataset.path={sys.argv[1]}"] if len(sys.argv) > 1 else ["dataset=synthetic"]
    print(machine())
    measured = {name: [start(arguments) for _ in range(REPEATS)] for name, arguments in LISTINGS.items()}
    seconds_to_training(data)
    measured[f"first training step, {data[0]}"] = [seconds_to_training(data) for _ in range(REPEATS)]
    print(f"{'from pressing enter to':<36} {'median':>7} {'min':>7} {'max':>7}  seconds, {REPEATS} starts")
    for name, values in measured.items():
        print(f"{name:<36} {statistics.median(values):7.2f} {min(values):7.2f} {max(values):7.2f}")


if __name__ == "__main__":
    main()
