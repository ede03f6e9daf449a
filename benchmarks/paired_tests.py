"""How often tests find a difference between two models where there is none, at a level of 5 %.

    python benchmarks/paired_tests.py [--cohorts 1000]
    python benchmarks/paired_tests.py --runs outputs/a outputs/b    # of the cells of two runs, such as two seeds of one configuration

Without runs: cohorts of 9, 20 and 40 patients, three of four infected, with the cells of patients of the NIH set, and scores of two models
that are equally good. Patients are hard or easy for both models, and a little harder for one of them. The second table has configurations that are
equally good although their seeds differ: a test of one seed of each tells trained models apart, not configurations.

With runs: from the patients that both runs tested, cohorts of as many are drawn with replacement. Two finished models are not exactly equally good, so the
models exchange their names in each drawn patient with probability 1/2: then there is no difference, whatever the two are, and the spread is theirs.

Ends with 1 if a test of the product finds a difference in more than 8 % of the cohorts of 20 or 40 patients.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy import stats

from malaria_exp.data.readers.index import read_index
from malaria_exp.evaluation.paired_tests import PairedCells, Scored, compare_models
from malaria_exp.evaluation.predictions import sigmoid
from malaria_exp.runs.read_files import read_predictions
from malaria_exp.utils.machine import machine

METRICS = ("auc", "sensitivity", "specificity", "accuracy", "brier")
SIZES, SEEDS, LEVEL = (9, 20, 40), (1, 2, 3, 5), 0.05
# On the probit scale, with cells of SD 1: between patients .53 (parasitized) and .44 in all, as fitted to out-of-fold scores of the NIH cells;
# .3 of it is each model's own.
PATIENT, OWN, CELL, OWN_CELL = (0.43, 0.32), 0.3, 0.8, 0.6
CENTER = (1.88, -2.14)


def main() -> int:
    """Prints the machine and the tables, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=1000, help="of each size")
    parser.add_argument("--resamples", type=int, default=2000, help="of the bootstrap")
    parser.add_argument("--runs", nargs=2, type=Path, help="folders of two finished runs")
    arguments = parser.parse_args()
    print(machine())
    if arguments.runs:
        return _of_runs(arguments.runs[0], arguments.runs[1], arguments.cohorts, arguments.resamples)
    counts = _cells_of_patients()
    rng, worst = np.random.default_rng(5), 0.0
    print(f"\ndifference found, in % of {arguments.cohorts} cohorts in which there is none; patients: {' / '.join(map(str, SIZES))}")
    table = {size: _found(rng, counts, size, arguments) for size in SIZES}
    for name in table[SIZES[0]]:
        row = [table[size][name] for size in SIZES]
        worst = max(worst, *(row[1:] if name in METRICS else [0.0]))
        print(f"  {name:<28}" + " / ".join(f"{100 * value:4.1f}" for value in row))
    print(f"\nthe same of configurations, whose seeds differ, 20 patients; seeds of each: {' / '.join(map(str, SEEDS))}")
    rates = [_found_of_seeds(rng, counts, seeds, arguments) for seeds in SEEDS]
    for metric in rates[0]:
        print(f"  {metric:<28}" + " / ".join(f"{100 * rate[metric]:4.1f}" for rate in rates))
    return int(worst > 0.08)


def _cells_of_patients() -> np.ndarray:
    """Returns (parasitized, uninfected) of each NIH patient, (200, 2)."""
    counts: dict[str, list[int]] = {}
    for known in read_index().values():
        counts.setdefault(known.parts.patient, [0, 0])[known.class_name == "uninfected"] += 1
    return np.array(list(counts.values()))


def _cohort(rng: np.random.Generator, counts: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws patients, three of four infected; returns label and patient of each cell, and the logit that all models have in common."""
    infected, healthy = counts[counts[:, 0] > 0], counts[counts[:, 0] == 0]
    of_infected = round(0.75 * size)
    drawn = np.concatenate([rng.choice(infected, of_infected), rng.choice(healthy, size - of_infected)])
    label = np.concatenate([np.full(count, 1 - kind) for kind in (0, 1) for count in drawn[:, kind]])
    patient = np.concatenate([np.full(count, number) for kind in (0, 1) for number, count in enumerate(drawn[:, kind])])
    center = [rng.normal(CENTER[kind], PATIENT[kind], size) for kind in (0, 1)]
    return label, patient, np.where(label == 1, center[0][patient], center[1][patient]) + rng.normal(0, CELL, len(label))


def _model(rng: np.random.Generator, label: np.ndarray, patient: np.ndarray, common: np.ndarray, seeds: int, seed_sd: float) -> Scored:
    """Returns the scores of a model; each seed has patients of its own that are hard, and finds parasites more or less well."""
    size = patient.max() + 1
    logits = [
        common
        + np.where(label == 1, rng.normal(0, OWN, size)[patient] + rng.normal(0, seed_sd), rng.normal(0, OWN, size)[patient])
        + rng.normal(0, OWN_CELL, len(label))
        for _ in range(seeds)
    ]
    return Scored(sigmoid(np.array(logits)), np.array(logits) >= 0)


def _found(rng: np.random.Generator, counts: np.ndarray, size: int, arguments: argparse.Namespace) -> dict[str, float]:
    """Returns how often each test finds a difference, by its name."""
    hits: dict[str, list[bool]] = {}
    for number in range(arguments.cohorts):
        label, patient, common = _cohort(rng, counts, size)
        model, reference = (_model(rng, label, patient, common, 1, 0.0) for _ in range(2))
        cells = PairedCells(label, patient.astype(str), model, reference)
        for metric in METRICS:
            hits.setdefault(metric, []).append(_differs(cells, metric, number, arguments.resamples))
        hits.setdefault("sensitivity: McNemar, cells", []).append(_mcnemar(cells))
        hits.setdefault("AUC: DeLong, cells", []).append(_delong(cells))
    return {name: float(np.mean(found)) for name, found in hits.items()}


def _found_of_seeds(rng: np.random.Generator, counts: np.ndarray, seeds: int, arguments: argparse.Namespace) -> dict[str, float]:
    hits: dict[str, list[bool]] = {"auc": [], "sensitivity": []}
    for number in range(arguments.cohorts):
        label, patient, common = _cohort(rng, counts, 20)
        cells = PairedCells(label, patient.astype(str), *(_model(rng, label, patient, common, seeds, 0.15) for _ in range(2)))
        for metric, found in hits.items():
            found.append(_differs(cells, metric, number, arguments.resamples))
    return {metric: float(np.mean(found)) for metric, found in hits.items()}


def _differs(cells: PairedCells, metric: str, seed: int, resamples: int) -> bool:
    p = compare_models([cells], metric, seed=seed, resamples=resamples).p
    return p is not None and p < LEVEL


def _mcnemar(cells: PairedCells) -> bool:
    """McNemar 1947 on the parasitized cells, without correction for continuity."""
    first, second = (scored.predicted[0][cells.label == 1] for scored in (cells.model, cells.reference))
    only_first, only_second = np.sum(first & ~second), np.sum(second & ~first)
    return bool((only_first - only_second) ** 2 > stats.chi2.isf(LEVEL, 1) * (only_first + only_second))


def _delong(cells: PairedCells) -> bool:
    """DeLong, DeLong and Clarke-Pearson 1988: every cell counts as a patient."""
    each = PairedCells(cells.label, np.arange(len(cells.label)).astype(str), cells.model, cells.reference)
    return _differs(each, "auc", 0, 0)


def _of_runs(first: Path, second: Path, cohorts: int, resamples: int) -> int:
    """Prints how often two runs differ whose names are exchanged at random."""
    model, reference = (read_predictions(run).select("test") for run in (first, second))
    order = [np.argsort(one.cell_id) for one in (model, reference)]
    if not np.array_equal(model.cell_id[order[0]], reference.cell_id[order[1]]):
        print("The runs were tested on different cells.")
        return 1
    label, patient = model.label[order[0]], model.patient[order[0]]
    scores = np.array([model.score[order[0]], reference.score[order[1]]])
    rows = [np.flatnonzero(patient == name) for name in np.unique(patient)]
    rng = np.random.default_rng(5)
    hits: dict[str, list[bool]] = {metric: [] for metric in METRICS}
    for number in range(cohorts):
        drawn = rng.integers(len(rows), size=len(rows))
        own = np.concatenate([rows[i] for i in drawn])
        names = np.repeat(np.arange(len(drawn)), [len(rows[i]) for i in drawn])
        exchanged = rng.random(len(drawn)) < 0.5
        one, other = np.where(exchanged[names], scores[::-1, own], scores[:, own])
        cells = PairedCells(label[own], names.astype(str), *(Scored(s[None], s[None] >= 0.5) for s in (one, other)))
        for metric, found in hits.items():
            found.append(_differs(cells, metric, number, resamples))
    print(f"\nno difference, of {cohorts} cohorts of {len(rows)} patients in which there is none (and of the first 100)")
    for metric, found in hits.items():
        print(f"  {metric:<14}{cohorts - sum(found)} ({100 - sum(found[:100])})")
    return int(max(map(np.mean, hits.values())) > 0.08)


if __name__ == "__main__":
    sys.exit(main())
