"""How long it takes from pressing enter: to an answer of the listings, to the first training step of a run, and all of a run that is not training.

    python benchmarks/start_up.py [cell_images.zip] [--repeats 5]

Starts each command several times as a process of its own, in turns. The listings are compared with a bare Hydra application that prints its help, a run with
`import tensorflow`: what nobody can leave out. A run's first training step is where its first epoch begins; what is not training is the
process's time less that of the epochs: with images that are decoded already (warm), and with an empty pixel cache (cold). Prints the machine, and
median, minimum and maximum in seconds.
"""

import argparse
import csv
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from malaria_exp.utils.machine import machine

ROOT = Path(__file__).resolve().parent.parent
LISTINGS = {
    "--help": ["--help"],
    "--cfg job": ["--cfg", "job"],
    "task=list": ["task=list"],
    "task=list task.show=model/cellnet": ["task=list", "task.show=model/cellnet"],
    "a wrong key": ["optimizer.lrr=1"],
}
BARE, TENSORFLOW = "a bare Hydra application's --help", "import tensorflow"
HYDRA = """
import hydra
from omegaconf import DictConfig

@hydra.main(version_base=None, config_path=None)
def main(config: DictConfig) -> None:
    print(config)

main()
"""


def seconds_of(command: list[str]) -> float:
    """Runs a program and returns its wall-clock seconds."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, *command], capture_output=True, check=False)
    return time.perf_counter() - begin


def run_seconds(overrides: list[str]) -> tuple[float, float]:
    """Runs one short epoch and returns the seconds from the start of the process to the start of the epoch, and all but the epoch."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        begin = time.time()
        whole = seconds_of([str(ROOT / "run.py"), *overrides, "trainer.epochs=1", f"hydra.run.dir={run}"])
        history = run / "history.csv"
        with history.open(encoding="utf-8", newline="") as file:
            (row,) = csv.DictReader(file)
        epoch = float(row["seconds"])
        # The row is written right at the epoch's end.
        return history.stat().st_mtime - epoch - begin, whole - epoch


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", nargs="?", help="NIH's cell_images.zip; synthetic cells without it")
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    data = ["dataset=nih", f"dataset.path={asked.archive}"] if asked.archive else ["dataset=synthetic"]
    print(machine(), flush=True)
    measured: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / "bare.py"
        bare.write_text(HYDRA, encoding="utf-8")
        cached = [*data, f"cache.root={folder}/cache"]
        run_seconds(cached)
        for turn in range(asked.repeats):
            commands = {BARE: [str(bare), "--help"], TENSORFLOW: ["-c", "import tensorflow"]}
            commands |= {name: [str(ROOT / "run.py"), *arguments] for name, arguments in LISTINGS.items()}
            found = {name: seconds_of(command) for name, command in commands.items()}
            found["first training step, warm"], found["a run but its training, warm"] = run_seconds(cached)
            _, found["a run but its training, cold"] = run_seconds([*data, f"cache.root={folder}/cache_{turn}"])
            for name, value in found.items():
                measured.setdefault(name, []).append(value)
    print(f"{data[0]}, {asked.repeats} starts of each; seconds")
    print(f"{'':<36} {'median':>7} {'min':>7} {'max':>7}   of a bare Hydra application   of import tensorflow")
    for name, values in measured.items():
        middle = statistics.median(values)
        ratios = [f"{middle / statistics.median(measured[other]):.2f}" for other in (BARE, TENSORFLOW)]
        print(f"{name:<36} {middle:7.2f} {min(values):7.2f} {max(values):7.2f}   {ratios[0]:>27}   {ratios[1]:>20}")


if __name__ == "__main__":
    main()
