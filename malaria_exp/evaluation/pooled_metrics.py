"""The metrics of joined folds, in which each run has thresholds of its own, and of repetitions of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from malaria_exp.evaluation.evaluate import evaluate
from malaria_exp.evaluation.intervals.influence import PatientCells, ranking_influence, rate_pulls
from malaria_exp.evaluation.intervals.interval_interface import IntervalMethod
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.repetitions import OVER_SEEDS, OVER_SPLITS, mean_of, over_seeds, over_splits
from malaria_exp.evaluation.thresholds import HALF, Threshold

COUNTS = ("tp", "fp", "tn", "fn")
Cell = dict[str, Any]
# From the metrics of a run to one cell of them.
Find = Callable[[Mapping[str, Any]], Cell]
Pulls = dict[tuple[str, str], np.ndarray]


def join_thresholds(runs: Sequence[Mapping[str, Threshold]]) -> dict[str, Threshold]:
    """Returns a threshold for each name: of runs whose values differ their mean, and a rule that says between which values they lie."""
    joined = {}
    for name, first in runs[0].items():
        values = [run[name].value for run in runs]
        chance = mean_of([run[name].chance for run in runs])
        if len(set(values)) > 1:
            rule = f"each run's own, {min(values):.3f} to {max(values):.3f}: {first.rule}"
            first = replace(first, value=float(np.mean(values)), rule=rule)  # noqa: PLW2901
        joined[name] = replace(first, chance=chance)
    return joined


def evaluate_joined(
    predictions: Predictions, runs: Sequence[Mapping[str, Threshold]], row_runs: np.ndarray, interval: IntervalMethod, **settings: Any
) -> dict[str, Any]:
    """Computes the metrics of the test cells of several runs, each cell predicted at the threshold of its own run.

    Args:
        predictions: test cells of all runs; every cell once.
        runs: the thresholds of each run, by name.
        row_runs: int (N,), the number of the run that each cell was tested in.
        interval: how intervals are computed.
        **settings: resamples, confidence and seed of `evaluate`.

    Returns:
        As `evaluate`, of the subset test; `value` of a threshold that differs is the mean over the runs.
    """
    thresholds = join_thresholds(runs)
    metrics = evaluate(predictions, thresholds=thresholds, interval=interval, **settings)
    part = metrics["subsets"]["test"]
    for name, own in own_thresholds(runs, row_runs).items():
        # What is predicted at thresholds that differ is the same as scores of 0 and 1 at one threshold.
        decided = replace(predictions, score=(predictions.score >= own).astype(np.float64))
        found = evaluate(decided, thresholds={name: Threshold(HALF, "")}, interval=interval, **settings)["subsets"]["test"]
        part["at"][name] = found["at"][name] | {"threshold": thresholds[name].value}
        if name == next(iter(thresholds)):
            part["patient_level"] = found["patient_level"]
        for row, decided_row in zip(part["per_patient"], found["per_patient"], strict=True):
            row["at"][name] = decided_row["at"][name]
    return metrics


def own_thresholds(runs: Sequence[Mapping[str, Threshold]], row_runs: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the threshold of each cell, float64 (N,), by name; only those that are not the same in all runs."""
    values = {name: np.array([run[name].value for run in runs]) for name in runs[0]}
    return {name: one[row_runs] for name, one in values.items() if len(set(one.tolist())) > 1}


def average_over_seeds(repetitions: Sequence[Mapping[str, Any]], pulls: Sequence[Pulls]) -> dict[str, Any]:
    """Returns the metrics of the first repetition with every value replaced by the mean over all, see `over_seeds`.

    Args:
        repetitions: metrics of trainings that were tested on the same cells.
        pulls: of each, see `patient_pulls`.
    """
    confidence = repetitions[0]["interval"]["confidence"]

    def combine(metric: str, threshold: str, cells: list[Cell], _: Find) -> Cell:
        own = [one[threshold, metric] for one in pulls if (threshold, metric) in one]
        return over_seeds(metric, cells, confidence, together(own) if len(own) == len(pulls) else 1.0)

    return _averaged(repetitions, OVER_SEEDS.format(n=len(repetitions)), combine)


def patient_pulls(predictions: Predictions, runs: Sequence[Mapping[str, Threshold]], row_runs: np.ndarray) -> Pulls:
    """Returns how far each of K patients pulls a metric, (K,), by (name of the threshold, or "", metric); patients in the order of their names.

    Args:
        predictions: see `evaluate_joined`.
        runs: see `evaluate_joined`.
        row_runs: see `evaluate_joined`.
    """
    cells = PatientCells.of(predictions.label, predictions.score, np.unique(predictions.patient, return_inverse=True)[1])
    found = {("", metric): cells.pulls(values) for metric, values in ranking_influence(cells).items()}
    for name in runs[0]:
        own = np.array([run[name].value for run in runs])[row_runs]
        decided = replace(cells, scores=(predictions.score >= own).astype(np.float64))
        found |= {(name, metric): pulls for metric, pulls in rate_pulls(decided, HALF).items()}
    return {key: np.sum([pull.cells / pull.cells.sum() * pull.deviations for pull in pulls], axis=0) for key, pulls in found.items()}


def together(pulls: Sequence[np.ndarray]) -> float:
    """Returns the spread over patients of a mean over trainings, as a fraction of that of one training."""
    alone = float(np.mean([np.linalg.norm(one) for one in pulls]))
    return float(np.linalg.norm(np.mean(pulls, axis=0))) / alone if alone > 0 else 1.0


def average_over_splits(
    repetitions: Sequence[Mapping[str, Any]], test_sets: Sequence[Sequence[Mapping[str, Any]]], ratio: float
) -> dict[str, Any]:
    """Returns the metrics of the first repetition with every value replaced by the mean over all, see `over_splits`.

    Args:
        repetitions: metrics of each.
        test_sets: for each test set, the metrics of the runs that were tested on it.
        ratio: patients of a test set over those that its model has learned from.
    """
    confidence = repetitions[0]["interval"]["confidence"]
    words = OVER_SPLITS.format(n=len(test_sets), ratio=ratio)

    def combine(metric: str, _: str, cells: list[Cell], find: Find) -> Cell:
        values = [mean_of([find(run).get("value") for run in runs]) for runs in test_sets]
        return over_splits(metric, mean_of([cell["value"] for cell in cells]), values, ratio, confidence)

    # The interval is one over test sets; the method of a single run's intervals has no share in it.
    return _averaged(repetitions, words, combine, alone=True)


def _averaged(
    repetitions: Sequence[Mapping[str, Any]],
    words: str,
    combine: Callable[[str, str, list[Cell], Find], Cell],
    *,
    alone: bool = False,
) -> dict[str, Any]:
    first = dict(repetitions[0])
    part = dict(first["subsets"]["test"])

    def cell(metric: str, threshold: str, *path: str) -> Cell:
        def find(metrics: Mapping[str, Any]) -> Cell:
            found = metrics["subsets"]["test"]
            for key in (*path, metric):
                # A run of an earlier version may lack a metric.
                found = found.get(key) or {}
            return dict(found)

        return combine(metric, threshold, [find(one) for one in repetitions], find)

    part["ranking"] = {metric: cell(metric, "", "ranking") for metric in part["ranking"]}
    at = {}
    for name, found in part["at"].items():
        counts = {key: round(np.mean([one["subsets"]["test"]["at"][name][key] for one in repetitions])) for key in COUNTS}
        rates = {metric: cell(metric, name, "at", name) for metric, one in found.items() if isinstance(one, Mapping)}
        at[name] = found | counts | rates
    part["at"] = at
    if alone:
        part["no_interval"] = None
    method = words if alone else f"{first['interval']['method']}; {words}"
    return first | {"subsets": {"test": part}, "interval": first["interval"] | {"method": method}}
