"""How often thresholds keep what they promise on new patients, and what they say of it: the table of docs/thresholds.md.

    python benchmarks/thresholds.py [--runs 200]

Each run draws validation patients of the NIH set with their real numbers of cells, and scores for the cells, as benchmarks/coverage.py does;
each rule chooses its threshold on them. Then it looks at the rates of that threshold on endlessly many new patients, and on as many new
patients as were left out of a resample on average. Prints for each rule the fraction of runs in which the promise was kept on either, the
mean of the chance that the rule stated, and the rates it pays with.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import logit

from malaria_exp.config.registry import build
from malaria_exp.evaluation.metrics import count
from malaria_exp.evaluation.thresholds import HALF, Rates, ThresholdRule, choose_thresholds
from malaria_exp.utils.machine import machine

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.coverage import BETWEEN, MEANS, SLOPE, Draw, draw

PATIENTS = (10, 20, 40)
RULES = {
    "target_sensitivity, assurance=null": ("target_sensitivity", {"assurance": None}),
    "target_sensitivity": ("target_sensitivity", {}),
    "target_specificity": ("target_specificity", {}),
    "youden": ("youden", {}),
    "cost": ("cost", {}),
}


def endless(threshold: float) -> Rates:
    """Returns sensitivity and specificity on endlessly many patients."""
    latent = logit(np.clip(threshold, 1e-12, 1 - 1e-12)) / SLOPE
    found, alarmed = (stats.norm.sf(latent, mean, np.hypot(1, spread)) for mean, spread in zip(MEANS, BETWEEN, strict=True))
    return Rates(float(found), 1 - float(alarmed))


def _rates(cells: Draw, threshold: float) -> Rates:
    counts = count(cells.labels, cells.scores, threshold)
    return Rates(counts.sensitivity, counts.specificity)


def main() -> None:
    """Prints the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--runs", type=int, default=200)
    runs = arguments.parse_args().runs
    print(machine())
    rules: dict[str, ThresholdRule] = {name: build("threshold", *rule) for name, rule in RULES.items()}
    print(f"{'rule':<36}{'patients':>9}{'kept: endless':>15}{'few new':>9}{'stated':>8}{'sensitivity':>13}{'specificity':>13}")
    for patients in PATIENTS:
        began, rows = time.monotonic(), dict[str, list[Any]]((name, []) for name in rules)
        for run in range(runs):
            rng = np.random.default_rng([patients, run])
            cells, new = draw(rng, patients), draw(rng, max(2, round(0.37 * patients)))
            for name, threshold in choose_thresholds(rules, *cells, resamples=100, seed=run).items():
                few, few_half = (_rates(new, value) for value in (threshold.value, HALF))
                at, kept = endless(threshold.value), rules[name].kept
                rows[name].append([kept(at, endless(HALF)), kept(few, few_half), threshold.chance, *at])
        for name, found in rows.items():
            kept_endless, kept_few, stated, sensitivity, specificity = np.array(found, dtype=float).mean(axis=0)
            print(
                f"{name:<36}{patients:>9}{kept_endless:>15.0%}{kept_few:>9.0%}{stated:>8.0%}{sensitivity:>13.3f}{specificity:>13.3f}",
                flush=True,
            )
        print(f"  {runs} runs in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
