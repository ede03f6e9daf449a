"""Measures how many cells a second `dataset=synthetic` draws, in one thread and in two.

Run from the repository root: python benchmarks/synthetic_cells.py
"""

import os
import platform
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from malaria_exp.components.dataset.synthetic import synthetic

CELLS = 1500
REPEATS = 7


def main() -> None:
    """Prints the machine, the time of building the table, and cells per second of several repeats."""
    start = time.perf_counter()
    table = synthetic()
    build = time.perf_counter() - start
    indices = np.random.default_rng(0).choice(len(table), CELLS, replace=False).tolist()
    for index in indices[:200]:
        table.source.read(index)
    rates: dict[str, list[float]] = {"one thread": [], "one thread, CPU time": [], "two threads": []}
    with ThreadPoolExecutor(2) as pool:
        for _ in range(REPEATS):
            wall_start, cpu_start = time.perf_counter(), time.process_time()
            for index in indices:
                table.source.read(index)
            rates["one thread"].append(CELLS / (time.perf_counter() - wall_start))
            rates["one thread, CPU time"].append(CELLS / (time.process_time() - cpu_start))
            wall_start = time.perf_counter()
            for _ in pool.map(table.source.read, indices):
                pass
            rates["two threads"].append(CELLS / (time.perf_counter() - wall_start))
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(
        f"machine               {platform.machine()}, {os.cpu_count()} CPUs{load}, Python {platform.python_version()}, numpy {np.__version__}"
    )
    print(f"table                 {len(table)} cells in {build:.2f} s")
    for name, found in rates.items():
        print(f"{name:<21} {statistics.median(found):.0f} cells/s (median of {REPEATS}; {min(found):.0f} to {max(found):.0f})")


if __name__ == "__main__":
    main()
