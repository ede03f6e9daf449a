"""Runs many tiny jobs in one process, as a grid does: memory, open files and threads must not grow.

    python benchmarks/jobs_in_one_process.py [--jobs 200] [key=value ...]

The jobs differ in seed, model and trainer. Prints the machine, and after every tenth of the jobs the seconds a job, the process' memory
in MB, its open files and its threads; exits with 1 if the median of the last quarter is more than 5 % and 50 MB (files and threads: 5)
above that of the second quarter. In the first the caches of TensorFlow and Python fill.
"""

import argparse
import gc
import logging
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from malaria_exp.main import run_in_process
from malaria_exp.utils.machine import machine
from malaria_exp.utils.terminal_log import set_terminal_level, start_terminal_log

TINY = [
    "dataset.infected_patients=8",
    "dataset.healthy_patients=3",
    "dataset.cells_per_patient=8",
    "dataset.cell_size=40",
    "model.image_size=32",
    "batch_size=16",
    "trainer.epochs=2",
    "trainer.precision=float32",
    "evaluation.resamples=20",
    "logger=[csv,jsonl]",
]
KINDS = (
    ["model.stem=4", "model.widths=[8]"],
    ["model=lenet_sequential", "trainer=loop"],
    ["model.stem=4", "model.widths=[8]", "aug=[dihedral,cutmix]"],
)


def main() -> int:
    """Runs the jobs and prints."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--jobs", type=int, default=200)
    given, overrides = arguments.parse_known_args()
    print(machine())
    print(f"{'jobs':>5} {'s a job':>8} {'memory, MB':>11} {'files':>6} {'threads':>8}")
    start_terminal_log()
    set_terminal_level(logging.ERROR)
    found = []
    with tempfile.TemporaryDirectory() as work:
        cache = f"cache.root={work}/cache"
        for number in range(given.jobs):
            began = time.perf_counter()
            kind = KINDS[number % len(KINDS)]
            run_in_process([*TINY, *kind, cache, f"seed={number}", *overrides, f"hydra.run.dir={work}/{number}"])
            gc.collect()
            found.append((time.perf_counter() - began, memory_mb(), len(list(Path("/proc/self/fd").iterdir())), threading.active_count()))
            if (number + 1) % max(1, given.jobs // 10) == 0:
                seconds, memory, files, threads = found[-1]
                print(f"{number + 1:>5} {seconds:>8.2f} {memory:>11.0f} {files:>6} {threads:>8}", flush=True)
    grown = []
    for place, (name, slack) in enumerate((("memory", 50.0), ("files", 5.0), ("threads", 5.0)), start=1):
        values = [row[place] for row in found]
        quarter = max(1, len(values) // 4)
        before, after = statistics.median(values[quarter : 2 * quarter]), statistics.median(values[-quarter:])
        print(f"{name}: median {before:.0f} in the second quarter, {after:.0f} in the last")
        if after > 1.05 * before + slack:
            grown.append(name)
    print(f"grows: {', '.join(grown)}" if grown else "flat")
    return 1 if grown else 0


def memory_mb() -> float:
    """Returns the memory of this process that is in use, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    sys.exit(main())
