"""How often tests find a difference between a group of patients and all others where there is none, at a level of 5 %.

    python benchmarks/subgroup_tests.py [--cohorts 300]

Cohorts of 20, 40 and 75 infected patients with the parasitized cells of patients of the NIH set. Patients are hard or easy, but those of the group, a
third of all, no more than the others; in half of the cohorts the group is those with the most cells. The last column is how often a group
that is worse (by .5 on the probit scale, about 10 points of sensitivity) is found. Ends with 1 if the product's test finds more than 8 % of nothing.
"""

import argparse
import sys

import numpy as np
from scipy import stats

from malaria_exp.data.readers.index import read_index
from malaria_exp.evaluation.subgroups.permutation_test import compare_with_rest
from malaria_exp.utils.machine import machine

SIZES, LEVEL = (20, 40, 75), 0.05
# On the probit scale, with cells of SD 1: sensitivity and spread between patients as of the NIH cells.
CENTER, PATIENT, WORSE = 1.75, 0.53, 0.5


def main() -> int:
    """Prints the machine and the table, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=300, help="of each size")
    arguments = parser.parse_args()
    print(machine())
    counts = np.unique([one.parts.patient for one in read_index().values() if one.class_name == "parasitized"], return_counts=True)[1]
    rng, worst = np.random.default_rng(3), 0.0
    print(f"difference found in % of {arguments.cohorts} cohorts; patients, test, without a difference, with one")
    for size in SIZES:
        nothing, something = (_found(rng, counts, size, arguments.cohorts, shift) for shift in (0.0, -WORSE))
        for name in nothing:
            print(f"  {size:>3}  {name:<28} {100 * nothing[name]:5.1f} {100 * something[name]:5.1f}")
        worst = max(worst, nothing["permutation over patients"])
    return int(worst > 0.08)


def _found(rng: np.random.Generator, counts: np.ndarray, size: int, cohorts: int, shift: float) -> dict[str, float]:
    hits: dict[str, list[bool]] = {"permutation over patients": [], "chi-square over cells": [], "t over patients' rates": []}
    for number in range(cohorts):
        cells = rng.choice(counts, size)
        if number % 2:
            cells = np.sort(cells)[::-1]
        patient = np.repeat(np.arange(size), cells)
        member = patient < size // 3
        latent = CENTER + rng.normal(0, PATIENT, size)[patient] + shift * member + rng.normal(0, 1, len(patient))
        found = latent > 0
        p = compare_with_rest(found, patient, member, number, permutations=999).p
        hits["permutation over patients"].append(p is not None and p < LEVEL)
        table = np.array([[np.sum(found & side), np.sum(~found & side)] for side in (member, ~member)])
        hits["chi-square over cells"].append(bool(stats.chi2_contingency(table, correction=False).pvalue < LEVEL))
        rates = np.bincount(patient, found, size) / cells
        hits["t over patients' rates"].append(bool(stats.ttest_ind(rates[: size // 3], rates[size // 3 :], equal_var=False).pvalue < LEVEL))
    return {name: float(np.mean(found)) for name, found in hits.items()}


if __name__ == "__main__":
    sys.exit(main())
