"""How often the intervals of evaluation hold the truth: resampled over patients about as often as they promise, over cells far too seldom.

    python benchmarks/interval_coverage.py [--runs 300]

Each run draws 30 patients of 40 parasitized cells, each patient with a sensitivity of its own (Beta(4, 1), mean 0.8), and looks whether
the 95 % interval of sensitivity holds 0.8. Ends with 1 if that over patients holds it in less than 88 % of the runs, or that over cells in more than 65 %.
"""

import argparse
import sys

import numpy as np

from malaria_exp.evaluation.intervals import patient_bootstrap

TRUTH, PATIENTS, CELLS = 0.8, 30, 40


def main() -> int:
    """Prints both fractions and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300)
    runs = parser.parse_args().runs
    rng, hits = np.random.default_rng(5), {"patients": 0, "cells": 0}
    for run in range(runs):
        own = np.repeat(rng.beta(4, 1, PATIENTS), CELLS)
        scores = (rng.random(len(own)) < own).astype(float)
        clusters = {"patients": np.repeat(np.arange(PATIENTS), CELLS), "cells": np.arange(len(own))}
        for name, groups in clusters.items():
            found = patient_bootstrap(np.ones(len(own), int), scores, groups, {"fixed": 0.5}, resamples=200, seed=run)
            cell = found["at"]["fixed"]["sensitivity"]
            hits[name] += cell["low"] <= TRUTH <= cell["high"]
    for name, count in hits.items():
        print(f"resampled over {name:<9}the 95 % interval holds the truth in {count / runs:.0%} of {runs} runs")
    return int(hits["patients"] < 0.88 * runs or hits["cells"] > 0.65 * runs)


if __name__ == "__main__":
    sys.exit(main())
