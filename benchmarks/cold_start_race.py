"""Starts many whole trainings in the same instant on a cold cache: all end well, images are decoded once, equal seeds give equal results.

    python benchmarks/cold_start_race.py [--runs 10] [--seed 0] [--rounds 1] [key=value ...]

Half of the runs have one seed, half another. Nothing is in the cache, not even the measured precision. Further arguments are overrides
of every run. Prints the machine and the counts; exits with 1 on a failure.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from malaria_exp.utils.machine import machine

ROOT = Path(__file__).resolve().parent.parent
TINY = [
    "dataset.infected_patients=12",
    "dataset.healthy_patients=4",
    "dataset.cells_per_patient=12",
    "dataset.cell_size=64",
    "model.image_size=32",
    "model.stem=8",
    "model.widths=[8,16]",
    "batch_size=32",
    "trainer.epochs=2",
    "evaluation.resamples=20",
]
# Columns of history.csv that are times.
TIMES = ("seconds", "cells_per_second")


def main() -> int:
    """Runs all rounds and prints what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10, help="runs that start together")
    parser.add_argument("--rounds", type=int, default=1, help="how often, each time on a new cache")
    parser.add_argument("--seed", type=int, default=0, help="of half of the runs; the others have the next one")
    arguments, overrides = parser.parse_known_args()
    print(machine())
    failures = sum(race(arguments.runs, arguments.seed, overrides) for _ in range(arguments.rounds))
    print(f"{failures} failures")
    return bool(failures)


def race(runs: int, seed: int, overrides: list[str]) -> int:
    """Starts the runs on a new cache, waits for all, prints the counts and returns the number of failures."""
    with tempfile.TemporaryDirectory(prefix="cold_start-") as name:
        folder, start = Path(name), time.perf_counter()
        environment = os.environ | {"MALARIA_EXP_CACHE": str(folder / "cache")}
        processes = []
        for number in range(runs):
            arguments = [*TINY, *overrides, f"seed={seed + number % 2}", f"hydra.run.dir={folder / str(number)}"]
            command = [sys.executable, str(ROOT / "run.py"), *arguments]
            processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        said = [process.communicate()[0] for process in processes]
        wrong = [f"run {number}: exit code {process.returncode}" for number, process in enumerate(processes) if process.returncode]
        decoded = sum("cache     decoded" in text for text in said)
        waited = sum("waiting for another run" in text for text in said)
        measured = sum("measured once" in text for text in said)
        wrong += [f"{decoded} runs decoded"] * (decoded != 1) + [f"{measured} runs measured the precision"] * (measured > 1)
        caches = [path for path in (folder / "cache").iterdir() if path.is_dir()]
        wrong += [f"{len(caches)} pixel caches: {', '.join(path.name for path in caches)}"] * (len(caches) != 1)
        if not any(process.returncode for process in processes):
            for parity in range(min(2, runs)):
                results = [result(folder / str(number)) for number in range(parity, runs, 2)]
                wrong += [f"runs of seed {seed + parity} differ: {[item == results[0] for item in results]}"] * any(
                    item != results[0] for item in results
                )
        print(
            f"{runs} runs in {time.perf_counter() - start:.0f} s: {decoded} decoded, {waited} waited for it, {measured} measured the"
            f" precision; {len(wrong)} failures"
        )
        for number in [number for number, process in enumerate(processes) if process.returncode]:
            wrong.append("\n".join(said[number].splitlines()[-15:]))
        print("".join(f"  {line}\n" for line in wrong), end="")
    return len(wrong)


def result(folder: Path) -> tuple[object, ...]:
    """Returns what two runs of one seed must have in common: metrics, predictions and history, but for times."""
    metrics = json.loads((folder / "metrics.json").read_text())
    with (folder / "history.csv").open(newline="") as file:
        history = [{key: value for key, value in row.items() if key not in TIMES} for row in csv.DictReader(file)]
    return metrics["subsets"], metrics["thresholds"], (folder / "predictions.csv").read_bytes(), history


if __name__ == "__main__":
    sys.exit(main())
