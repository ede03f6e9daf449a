"""Reads what a comparison needs from the folders of runs: configuration, results, and the history of the training."""

from collections.abc import Mapping, Sequence
from typing import Any

from malaria_exp.config.registry import GROUPS
from malaria_exp.evaluation.reports.comparison.compared_run import AT_OTHERS, NOTHING, RESULTS, UNREADABLE, ComparedRun, Interval
from malaria_exp.evaluation.summary import first_threshold, reported_subset, shown_cells
from malaria_exp.runs.find_runs import EXPECTED, FoundRun
from malaria_exp.runs.read_files import CONFIG, HISTORY, SPLIT, read_config, read_history, read_metrics, read_split, read_status
from malaria_exp.runs.run_folder import may_be_running
from malaria_exp.utils.errors import RunFolderError


def read_runs(found: Sequence[FoundRun]) -> list[ComparedRun]:
    """Reads the runs; those of other tasks that a folder or pattern held are passed over.

    Raises:
        RunFolderError: a run that was asked for by its own name is of another task.
    """
    test_sets: dict[tuple[str, str], str] = {}
    return [run for one in found if (run := _read_run(one, test_sets)) is not None]


def _read_run(found: FoundRun, test_sets: dict[tuple[str, str], str]) -> ComparedRun | None:
    """Reads a run; one that is damaged becomes a run without results, whose reason says what is wrong."""
    try:
        status = read_status(found.path)
    except RunFolderError as error:
        return ComparedRun(found.name, found.path, UNREADABLE, _reason(error))
    # A job that failed before it claimed its folder does not name its task.
    if status.get("task", "train") != "train":
        if found.by_name:
            raise RunFolderError(
                f"runs: '{found.name}' is a run of task={status['task']}; only training runs can be compared or pooled. Expected {EXPECTED}"
            )
        return None
    run = ComparedRun(found.name, found.path, str(status.get("status", "?")), str(status.get("reason", "")))
    if run.status == "running":
        run.reason = "still running, or killed so that it could not say so"
        if not may_be_running(found.path, status):
            run.reason = "its process was killed; task=resume goes on with the run"
    run.overrides = " ".join(map(str, status.get("overrides", [])))
    run.seconds = status.get("seconds")
    run.objective = status.get("objective")
    run.leaky = status.get("leaky") is True
    try:
        if (found.path / CONFIG).exists():
            run.config = flat_config(read_config(found.path))
        run.history = read_history(found.path / HISTORY, finished=run.done)
        if run.done:
            _read_results(run, read_metrics(found.path), test_sets)
    except RunFolderError as error:
        run.status, run.reason = UNREADABLE, _reason(error)
    return run


def flat_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the leaves of a configuration by dotted key, lists as one leaf.

    The option of a group stands under the group's own key, "model" instead of "model.name"; the names of several options likewise.
    """
    flat: dict[str, Any] = {}
    for key, value in config.items():
        group = GROUPS.get(key)
        if group is not None and group.many and (isinstance(value, Mapping) or value is None):
            flat[key] = ", ".join(map(str, value or ()))
        elif group is not None and isinstance(value, Mapping) and "name" in value:
            flat[key] = value["name"]
        _flatten(key, value, flat)
        if group is not None and not group.many:
            flat.pop(f"{key}.name", None)
    return flat


def _flatten(path: str, value: Any, into: dict[str, Any]) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            _flatten(f"{path}.{key}", item, into)
    elif path not in into:
        into[path] = value


def _read_results(run: ComparedRun, metrics: dict[str, Any], test_sets: dict[tuple[str, str], str]) -> None:
    training = metrics.get("training") or {}
    run.monitor, run.train_seconds = training.get("monitor"), training.get("train_seconds")
    run.best_epoch, run.parameters = training.get("best_epoch") or None, training.get("parameters")
    run.leaky = run.leaky or metrics.get("leaky") is True
    run.subset, first = reported_subset(metrics), first_threshold(metrics)
    run.threshold = metrics["thresholds"][first]["value"]
    part = metrics["subsets"][run.subset]
    cells = shown_cells(metrics, run.subset)
    run.results = {name: _interval(cells.get(name)) for name in RESULTS}
    run.at_others = {
        f"{name}_at_{threshold}": _interval(part["at"].get(threshold, {}).get(name))[0]
        for threshold in list(metrics["thresholds"])[1:]
        for name in AT_OTHERS
    }
    split = run.path / SPLIT
    if split.exists():
        # Equal hashes mean equal splits of equal cells: a list of 27,558 cells is not read again for each of a hundred runs.
        key = (str(metrics.get("split_hash")), run.subset)
        test_sets[key] = test_sets.get(key) or read_split(split, "").subset_hash(run.subset)
        run.test_set = test_sets[key]


def _interval(cell: Any) -> Interval:
    if not isinstance(cell, Mapping):
        return NOTHING
    return cell.get("value"), cell.get("low"), cell.get("high")


def _reason(error: RunFolderError) -> str:
    return str(error).removeprefix("run: ").partition(" Give the folder")[0]
