"""The comparison as CSV files: a row a run, a row a configuration, a row a comparison, and every number of every history."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from malaria_exp.evaluation.reports.comparison.compared_run import NOTHING, RESULTS, ComparedRun
from malaria_exp.evaluation.reports.comparison.configurations import Column, Configuration, text_of
from malaria_exp.evaluation.reports.comparison.differences import Comparison
from malaria_exp.utils.atomic_files import write_csv


def write_runs(path: Path, runs: Sequence[ComparedRun], columns: Sequence[Column]) -> None:
    """Writes a row a run: status, every key in which the runs differ, results with their intervals, paths."""
    header = ["run", "status", "leaky", *(column.key for column in columns), "monitor", "objective", "best_epoch"]
    header += [f"{name}{end}" for name in RESULTS for end in ("", "_low", "_high")]
    others = list(dict.fromkeys(name for run in runs for name in run.at_others))
    header += others
    header += ["subset", "test_set", "seconds", "train_seconds", "parameters", "path", "reason"]
    rows = []
    for index, run in enumerate(runs):
        row: list[Any] = [run.name, run.status, str(run.leaky).lower(), *(text_of(column.values[index]) for column in columns)]
        row += [run.monitor, run.objective, run.best_epoch]
        row += [value for name in RESULTS for value in run.results.get(name, NOTHING)]
        row += [run.at_others.get(name) for name in others]
        row += [run.subset, run.test_set, run.seconds, run.train_seconds, run.parameters, run.path, run.reason]
        rows.append(row)
    write_csv(path, header, rows)


def write_configurations(path: Path, groups: Sequence[Configuration]) -> None:
    """Writes a row a configuration: its runs, and n, mean, sample standard deviation, smallest and largest of each result."""
    header = ["configuration", "runs", "finished", "leaky"]
    header += [f"{name}_{part}" for name in RESULTS for part in ("n", "mean", "sd", "min", "max")]
    rows = []
    for group in groups:
        numbers = [value for s in map(group.spread, RESULTS) for value in (s.n, s.mean, s.deviation, s.low, s.high)]
        rows.append([group.label, " ".join(run.name for run in group.runs), len(group.done), str(group.leaky).lower(), *numbers])
    write_csv(path, header, rows)


def write_comparisons(path: Path, comparisons: Sequence[Comparison], subset: str) -> None:
    """Writes a row a comparison and metric: both values, their difference with interval and p, and the verdict."""
    numbers = ("low", "high", "p", "p_holm", "p_margin", "p_margin_holm", "patients", "cells", "reason")
    header = ["model", "reference", "metric", "subset", "verdict", "model_value", "reference_value", "difference", *numbers]
    rows: list[list[Any]] = []
    for one in comparisons:
        found = one.difference
        own = [found.metric, subset, one.verdict, found.model, found.reference, found.value, *(getattr(found, name) for name in numbers)]
        rows.append([one.model, one.reference, *own, *one.seeds, one.settings.margin, one.settings.confidence])
    write_csv(path, [*header, "model_seeds", "reference_seeds", "margin", "confidence"], rows)


def write_history(path: Path, runs: Sequence[ComparedRun]) -> None:
    """Writes every number of every history in long form: run, epoch, column, value; nan stays nan."""
    rows = [
        [run.name, f"{row['epoch']:g}", column, repr(value)]
        for run in runs
        for row in run.history
        for column, value in row.items()
        if column != "epoch"
    ]
    write_csv(path, ["run", "epoch", "column", "value"], rows)
