"""How often the intervals of pooled results hold the truth: the tables of docs/pooling.md.

    python benchmarks/pooled_coverage.py [--runs 500] [--interval clustered]

Seeds: each run draws patients, three infected to one healthy, with very different numbers of cells, and the scores of several trainings on
the same cells. Scores have an effect of the patient (fitted to the NIH cells), of the training, of the training on the patient, and of the cell,
half of which all trainings share. The truth is the mean over endlessly many trainings on endlessly many such patients.

Splits: each run draws patients whose cells have five features, and trains a linear discriminant in repeated k-fold cross-validation over patients.
The truth is what models trained on so many patients reach on new ones, by 200 trainings and 2,000 patients.

Prints the percentage of 95 % intervals that hold the truth, and their median width. With 300 runs it takes about ten minutes on one core.
"""

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import stats

from malaria_exp.config.registry import build
from malaria_exp.evaluation.metrics import count, rates
from malaria_exp.evaluation.pooled_metrics import Pulls, patient_pulls, together
from malaria_exp.evaluation.predictions import Predictions, sigmoid
from malaria_exp.evaluation.repetitions import over_seeds, over_splits
from malaria_exp.evaluation.thresholds import Threshold

MEANS, BETWEEN = {1: 1.88, 0: -2.14}, {1: 0.53, 0: 0.44}
METRICS = ("sensitivity", "auc")
FEATURES, FOLDS, REPETITIONS = 5, 5, 2
Interval = tuple[float | None, float | None]


def cohort(rng: np.random.Generator, patients: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns labels and patients of the cells, each (N,)."""
    sizes = np.ceil(np.exp(rng.normal(4, 1, patients))).clip(5, 800).astype(int)
    patient = np.repeat(np.arange(patients), sizes)
    return ((rng.random(len(patient)) < 0.4) & (patient % 4 != 3)).astype(int), patient


def trainings(rng: np.random.Generator, patients: int, seeds: int, of_training: float, of_both: float) -> list[Mapping[str, Any]]:
    """Returns labels, patients and the scores of each training."""
    labels, patient = cohort(rng, patients)
    shared = rng.normal(0, np.sqrt(0.5), len(labels))
    for label, spread in BETWEEN.items():
        shared += np.where(labels == label, rng.normal(MEANS[label], spread, patients)[patient], 0)
    scores = []
    for _ in range(seeds):
        latent = shared + rng.normal(0, np.sqrt(0.5), len(labels)) + rng.normal(0, of_both, patients)[patient]
        latent += np.where(labels == 1, *rng.normal(0, of_training, 2))
        scores.append(sigmoid(3 * latent))
    return [{"labels": labels, "scores": one, "patients": patient.astype(str)} for one in scores]


def pulls_of(labels: np.ndarray, scores: np.ndarray, patients: np.ndarray) -> Pulls:
    """Returns the patients' pulls on the metrics of a training."""
    predictions = Predictions(np.arange(len(labels)), patients, patients, labels, scores, np.full(len(labels), "test"))
    return patient_pulls(predictions, [{"half": Threshold(0.5, "")}], np.zeros(len(labels), dtype=int))


def truth_of_seeds(of_training: float, of_both: float) -> dict[str, float]:
    """Returns the expected sensitivity, specificity and AUC; all effects are normal."""
    variance = {label: 1 + BETWEEN[label] ** 2 + of_training**2 + of_both**2 for label in (0, 1)}
    return {
        "sensitivity": float(stats.norm.cdf(MEANS[1] / np.sqrt(variance[1]))),
        "specificity": float(stats.norm.cdf(-MEANS[0] / np.sqrt(variance[0]))),
        "auc": float(stats.norm.cdf((MEANS[1] - MEANS[0]) / np.sqrt(variance[0] + variance[1]))),
    }


def t_interval(values: list[float]) -> Interval:
    """Returns the t-interval of a mean of independent values."""
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values) - half), float(np.mean(values) + half)


class Tally:
    """How many intervals of each kind held the truth, and how wide they were."""

    def __init__(self) -> None:
        self.found: dict[str, list[tuple[bool, float]]] = {}

    def add(self, name: str, ends: Interval, truth: float) -> None:
        """Counts an interval; one that is not there is none."""
        low, high = ends
        if low is not None and high is not None:
            self.found.setdefault(name, []).append((low <= truth <= high, high - low))

    def row(self) -> str:
        """Returns "98 (.045)" for each kind: percentage and median width."""
        return " | ".join(
            f"{100 * np.mean([hit for hit, _ in one]):.0f} ({np.median([width for _, width in one]):.3f})" for one in self.found.values()
        )


def seeds_table(runs: int, option: str) -> None:
    """Prints the table of means over seeds."""
    method = build("interval", option, {})
    print(f"\nSeeds, {runs} runs a row, interval={option}: % of intervals that hold the truth (median width)\n")
    print(
        "| SD of trainings, on patients | patients | trainings | metric | one training's | t over the trainings | pooled |\n|---|---|---|---|---|---|---|"
    )
    for of_training, of_both in ((0.05, 0.1), (0.2, 0.1), (0.2, 0.3)):
        truth = truth_of_seeds(of_training, of_both)
        for patients, seeds in ((20, 3), (20, 5), (75, 5)):
            tallies = {name: Tally() for name in METRICS}
            rng = np.random.default_rng(0)
            for _ in range(runs):
                cells = []
                drawn = trainings(rng, patients, seeds, of_training, of_both)
                pulls = [pulls_of(**one) for one in drawn]
                for one in drawn:
                    found = method(one["labels"], one["scores"], one["patients"], {"half": 0.5}, resamples=200, confidence=0.95, seed=0)
                    cells.append({**found["at"]["half"], **found["ranking"]})
                for name, tally in tallies.items():
                    own, key = [one[name] for one in cells], ("" if name == "auc" else "half", name)
                    pooled = over_seeds(name, own, 0.95, together([one[key] for one in pulls]))
                    tally.add("one", (own[0]["low"], own[0]["high"]), truth[name])
                    tally.add("t", t_interval([cell["value"] for cell in own]), truth[name])
                    tally.add("pooled", (pooled["low"], pooled["high"]), truth[name])
            for name, tally in tallies.items():
                print(f"| {of_training:g}, {of_both:g} | {patients} | {seeds} | {name} | {tally.row()} |", flush=True)


def features(rng: np.random.Generator, patients: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns features (N, FEATURES), labels and patients of the cells."""
    labels, patient = cohort(rng, patients)
    shift = 0.7 * rng.normal(size=(patients, 2, FEATURES))[patient, labels]
    return labels[:, None] * 1.2 + shift + rng.normal(size=(len(labels), FEATURES)), labels, patient


def accuracy(train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> float:
    """Trains a linear discriminant (means and a common covariance) and returns its accuracy on other cells."""
    x, y = train
    means = [x[y == label].mean(axis=0) for label in (0, 1)]
    weights = np.linalg.solve(np.cov((x - np.array(means)[y]).T), means[1] - means[0])
    scores = sigmoid((test[0] - np.mean(means, axis=0)) @ weights)
    return float(rates(count(test[1], scores, 0.5))["accuracy"])


def splits_table(runs: int) -> None:
    """Prints the table of repeated k-fold."""
    print(f"\n{REPETITIONS} x {FOLDS} folds, {runs} runs a row: % of intervals of the accuracy that hold the truth (median width)\n")
    print("| patients | t over the folds | pooled |\n|---|---|---|")
    for patients in (20, 40, 100):
        rng, tally = np.random.default_rng(0), Tally()
        x, y, _ = features(rng, 2000)
        learned = patients * (FOLDS - 1) // FOLDS
        truth = float(np.mean([accuracy(features(rng, learned)[:2], (x, y)) for _ in range(200)]))
        for _ in range(runs):
            x, y, patient = features(rng, patients)
            values = []
            for _ in range(REPETITIONS):
                fold = (rng.permutation(patients) % FOLDS)[patient]
                values += [accuracy((x[fold != one], y[fold != one]), (x[fold == one], y[fold == one])) for one in range(FOLDS)]
            pooled = over_splits("accuracy", float(np.mean(values)), values, 1 / (FOLDS - 1), 0.95)
            tally.add("t", t_interval(values), truth)
            tally.add("pooled", (pooled["low"], pooled["high"]), truth)
        print(f"| {patients} | {tally.row()} |", flush=True)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--runs", type=int, default=500)
    arguments.add_argument("--interval", default="clustered")
    given = arguments.parse_args()
    seeds_table(given.runs, given.interval)
    splits_table(given.runs)
