"""Folds and seeds become one result: joined test cells, means over repetitions, a report of each configuration, and one table of all."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from malaria_exp.config.run_config import Config
from malaria_exp.data.cell_table import CellTable
from malaria_exp.evaluation.evaluation_result import EvaluationResult
from malaria_exp.evaluation.metrics import METRICS
from malaria_exp.evaluation.pooled_metrics import average_over_seeds, average_over_splits, evaluate_joined, own_thresholds, patient_pulls
from malaria_exp.evaluation.reports.comparison.compared_run import ComparedRun
from malaria_exp.evaluation.reports.comparison.configurations import REPEATS
from malaria_exp.evaluation.reports.comparison.page import relative_link, report_link
from malaria_exp.evaluation.reports.page_elements import Cell, Head, Row, SortableTable, number_cell
from malaria_exp.evaluation.reports.patient_cells import PAGE, patient_links
from malaria_exp.evaluation.reports.results_files import SHOWN, Result, terminal_table, write_tables
from malaria_exp.evaluation.reports.templates import interval
from malaria_exp.evaluation.shortcuts import no_shortcuts, shortcut_entry, shortcut_line
from malaria_exp.evaluation.subgroups.columns import columns_of_cells, kept_name
from malaria_exp.evaluation.summary import first_threshold, headline, shown_cells
from malaria_exp.evaluation.usefulness.chapters import further_chapters
from malaria_exp.runs import provenance
from malaria_exp.runs.load_data import load_table, names_dataset
from malaria_exp.runs.pooled_runs import FOLD, PooledConfiguration, Repetition, TestedRun, pooled_configurations
from malaria_exp.runs.read_files import CONFIG, SPLIT, read_split
from malaria_exp.runs.train_model import build_choice
from malaria_exp.runs.write_results import write_evaluation
from malaria_exp.utils.errors import RunFolderError, listing
from malaria_exp.utils.progress_bars import console
from malaria_exp.utils.terminal_log import RESULT, log

NIH = "nih"


def pool_runs(runs: Sequence[ComparedRun], config: Config, folder: Path, overrides: list[str]) -> list[Result]:
    """Pools the runs of each configuration, and writes a report of each and the table of all.

    Args:
        runs: as a comparison reads them.
        config: how intervals are computed, and the seed of what is resampled.
        folder: that is written to; of several configurations each gets a folder in it.
        overrides: the command that does this again.

    Returns:
        The result of each configuration.

    Raises:
        RunFolderError: nothing can be pooled, or runs do not fit together.
    """
    found = pooled_configurations(runs)
    if not found:
        reasons = listing(f"{run.name}: {run.status}{f', {run.reason}' if run.reason else ''}" for run in runs)
        raise RunFolderError(
            "runs: nothing to pool: no two finished training runs among them differ in nothing but seed, split.seed and split.fold"
            + (f":\n{reasons}" if runs else ".")
        )
    record = provenance.collect(seed=config.seed, overrides=overrides)
    # Read once, and only if a configuration's runs have not kept what is asked.
    table = cache(lambda: load_table(config)) if names_dataset(overrides) else None
    results = []
    for number, one in enumerate(found, start=1):
        own = folder if len(found) == 1 else folder / f"{number}-{re.sub(r'[^A-Za-z0-9.]+', '-', one.label).strip('-.')[:50] or 'pooled'}"
        results.append(_pool(one, config, own, record, table))
    write_tables(folder, results)
    return results


def show_results(results: Sequence[Result], folder: Path) -> None:
    """Prints the table, and where the files are.

    Args:
        results: of all configurations.
        folder: that they were written to.
    """
    console().print(terminal_table(results))
    log.log(RESULT, f"tables    {folder / 'table.csv'}, table.md, table.tex")
    for one in results:
        log.log(RESULT, f"shortcut  {shortcut_line(one.metrics['subsets']['test']['shortcut'])}")
        log.log(RESULT, f"pooled    {folder / one.folder.name if len(results) > 1 else folder}/report.html")


def facts(results: Sequence[Result]) -> dict[str, Any]:
    """Returns what status.json says of the results."""
    many = {"configurations": len(results), "leaky": any(one.leaky for one in results)}
    return many | ({"headline": headline(results[0].metrics), "report": "report.html"} if len(results) == 1 else {"report": "table.md"})


def _pool(one: PooledConfiguration, config: Config, folder: Path, record: dict[str, Any], table: Callable[[], CellTable] | None) -> Result:
    """Evaluates a configuration and writes its files."""
    settings = {"resamples": config.evaluation.resamples, "confidence": config.evaluation.confidence, "seed": config.seed}
    method = build_choice(config.one("interval"))
    evaluated = [
        evaluate_joined(each.predictions, [run.thresholds for run in each.runs], each.row_runs, method, **settings)
        for each in one.repetitions
    ]
    first = one.repetitions[0]
    row_runs = first.row_runs
    own = own_thresholds([run.thresholds for run in first.runs], row_runs)
    chosen = first_threshold(evaluated[0])
    subgroup_columns = _subgroup_columns(first, config.evaluation.subgroups, table)
    evaluated[0]["subsets"]["test"] |= further_chapters(
        first.predictions,
        own.get(chosen, evaluated[0]["thresholds"][chosen]["value"]),
        # The tested patients of the other folds, each scored by a model that never saw that patient.
        [first.predictions.at(row_runs != fold) for fold in range(len(first.runs))] if len(first.runs) > 1 else [],
        row_runs,
        interval=method,
        columns=subgroup_columns,
        **settings,
    )
    shortcut_scores, evaluated[0]["subsets"]["test"]["shortcut"] = _shortcuts(first, interval=method, **settings)
    notes = list(one.notes)
    if len(evaluated) == 1:
        metrics = evaluated[0]
    else:
        if one.same_cells:
            pulls = [patient_pulls(each.predictions, [run.thresholds for run in each.runs], each.row_runs) for each in one.repetitions]
            metrics = average_over_seeds(evaluated, pulls)
        else:
            metrics = average_over_splits(evaluated, *_test_sets(one.runs))
        notes.append(
            f"Every number is the mean over {len(evaluated)} repetitions; numbers of found and missed cells are rounded. Numbers of tested cells and"
            f" patients, calibration, figures and single patients are those of the first ({one.repetitions[0].seeds})."
        )
    for note in one.notes:
        log.warning(f"pooled    {one.label}: {note}")
    leaky = any(run.run.leaky for run in one.runs)
    about = {
        "protocol": first.runs[0].setting("split"),
        "leaky": leaky,
        "data_hash": first.runs[0].data_hash,
        "pooled": {"runs": [run.run.name for run in one.runs], "what": one.words, "repetitions": len(one.repetitions), "notes": notes},
    }
    result = EvaluationResult(
        f"{one.label}: {one.words} pooled",
        [],
        first.predictions,
        about | metrics,
        str(about["protocol"]),
        leaky,
        _held_out(one),
        notes=notes,
        nih=first.runs[0].setting("dataset") == NIH,
        own_thresholds=own,
        shortcut_scores=shortcut_scores,
        columns=subgroup_columns,
    )
    names = np.array([run.run.name for run in first.runs])
    folds = np.array(["" if run.setting(FOLD) is None else str(run.setting(FOLD)) for run in first.runs])
    text = (first.runs[0].run.path / CONFIG).read_text(encoding="utf-8")
    columns = {"run": names[row_runs], "fold": folds[row_runs]}
    # A curve of one repetition has that repetition's area, not the mean.
    drawn = replace(result, metrics=evaluated[0])
    write_evaluation(
        folder,
        result,
        record,
        "pooled",
        text,
        errors=0,
        columns=columns,
        drawn=drawn,
        runs=_one_by_one(one, folder),
        pooled_links=_patient_links(first, folder),
    )
    return Result(one.label, one.words, result.metrics, folder, leaky)


def _subgroup_columns(first: Repetition, asked: Sequence[str], table: Callable[[], CellTable] | None) -> dict[str, np.ndarray]:
    """Returns what subgroups are also made of: as the runs have kept it, or else from the dataset, if the user has named it."""
    kept = [name for name in asked if all(kept_name(name) in run.columns for run in first.runs)]
    if len(kept) == len(asked) or table is None:
        return first.columns(asked)
    cells = first.predictions
    found = columns_of_cells(table(), [name for name in asked if name not in kept], cells.cell_id, cells.patient)
    return (first.columns(kept) if kept else {}) | found


def _shortcuts(repetition: Repetition, **settings: Any) -> tuple[np.ndarray | None, dict[str, Any]]:
    """Returns the scores of the runs' shortcut baselines, and the entry of metrics.json."""
    found = [run.shortcut_scores for run in repetition.runs]
    known = [scores for scores in found if scores is not None]
    entries = [run.metrics["subsets"]["test"].get("shortcut") or {} for run in repetition.runs]
    if len(known) < len(found):
        reasons = [str(entry["reason"]) for entry in entries if entry.get("reason")]
        return None, no_shortcuts(reasons[0] if reasons else "not all runs have a shortcut baseline; those of earlier versions have none")
    scores, cells = np.concatenate(known), repetition.predictions
    features = list(map(str, entries[0].get("features") or ["what is known of the files"]))
    return scores, shortcut_entry(cells.label, scores, cells.patient, features, **settings)


def _held_out(one: PooledConfiguration) -> str:
    """Returns sentences for the report: who was tested, and by whom."""
    first = one.repetitions[0]
    if len(first.runs) > 1:
        text = f"The test cells of {len(first.runs)} folds, joined: each patient was tested once, by a model that never saw that patient."
    else:
        text = f"The test cells of {one.words}, each tested by a model that never saw their patients."
    if any(run.run.leaky for run in one.runs):
        text = f"The test cells of {one.words}."
    return text


def _test_sets(runs: Sequence[TestedRun]) -> tuple[list[list[dict[str, Any]]], float]:
    """Returns the metrics of the runs of each test set, and how many patients a test set has for each that its model has learned from."""
    by_set: dict[Any, list[TestedRun]] = {}
    for run in runs:
        by_set.setdefault(run.run.test_set or id(run), []).append(run)
    ratios = []
    for run, *_ in by_set.values():
        split = read_split(run.run.path / SPLIT, "")
        counts, what = split.counts(), "patients" if split.patients_known else "cells"
        ratios.append(counts["test"][what] / max(1, counts["train"][what] + counts["val"][what]))
    return [[run.metrics for run in each] for each in by_set.values()], float(np.mean(ratios))


def _patient_links(repetition: Repetition, folder: Path) -> dict[str, str]:
    """Returns where a run shows the cells of each patient that it tested, relative to the folder."""
    links: dict[str, str] = {}
    for number, run in enumerate(repetition.runs):
        if page := relative_link(run.run.path / PAGE, folder):
            tested = np.unique(repetition.predictions.patient[repetition.row_runs == number]).tolist()
            links |= patient_links(tested, page)
    return links


def _one_by_one(one: PooledConfiguration, folder: Path) -> SortableTable:
    """Returns a row a run: fold, seeds, what was tested, results with the run's own intervals; and mean and deviation over all."""
    keys = [key for key in REPEATS if len({run.setting(key) for run in one.runs}) > 1]
    heads = [Head("run", number=False), *map(Head, keys), Head("patients"), Head("cells"), *(Head(METRICS[name].label) for name in SHOWN)]
    rows, found = [], []
    for run in one.runs:
        cells = shown_cells(run.metrics, "test")
        found.append([cells[name]["value"] for name in SHOWN])
        row = [Cell(run.run.name, link=report_link(run.run, folder)), *(Cell(str(run.setting(key))) for key in keys)]
        row += [Cell(f"{len(set(run.predictions.patient.tolist())):,}"), Cell(f"{len(run.predictions):,}")]
        row += [number_cell(cells[name]["value"], ".4f", small=interval(cells[name]), undefined=True) for name in SHOWN]
        rows.append(Row(row))
    last = [Cell(f"mean of {len(one.runs)} runs"), *(Cell("") for _ in range(len(keys) + 2))]
    for values in zip(*found, strict=True):
        known = [value for value in values if value is not None]
        small = f"SD {np.std(known, ddof=1):.4f}" if len(known) > 1 else ""
        last.append(number_cell(float(np.mean(known)) if known else None, ".4f", small=small, undefined=True))
    return SortableTable(heads, [*rows, Row(last)])
