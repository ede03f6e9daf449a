"""Reading the files of a run's folder, which may be damaged, or somebody else's and made to do harm.

Only regular files of a sensible size are read, they hold plain values of finite numbers, and what the program uses of them is checked
like a configuration. Whatever is wrong is a RunFolderError.
"""

import csv
import io
import json
import math
import stat
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import yaml

from malaria_exp.config.validation import Count, NonNegative, Positive, Probability, Range, check
from malaria_exp.data.split_manifest import Manifest
from malaria_exp.evaluation.predictions import SUBSETS, Predictions
from malaria_exp.evaluation.predictions import read as read_scores
from malaria_exp.evaluation.shortcuts import COLUMN
from malaria_exp.evaluation.subgroups.columns import SUBGROUP
from malaria_exp.evaluation.thresholds import Threshold, ThresholdName
from malaria_exp.runs.run_folder import STATUS
from malaria_exp.utils.csv_files import read_csv
from malaria_exp.utils.errors import ConfigError, DataError, RunFolderError

METRICS, HISTORY, PREDICTIONS, SPLIT, CONFIG, PROVENANCE = (
    "metrics.json",
    "history.csv",
    "predictions.csv",
    "split.csv",
    "config.yaml",
    "provenance.json",
)
# Far above what a run writes: the largest, split.csv and predictions.csv, have 100 to 200 bytes a cell.
LARGEST_MB = {".yaml": 1, ".json": 64, ".csv": 2048, ".jsonl": 1024, ".npz": 64}
DEEPEST = 50
LARGEST = 2.0**63
MOST_COLUMNS, LONGEST_COLUMN = 200, 100

Read = TypeVar("Read")
Numbers = dict[str, float | None]
# What is used of each file: key to type. A key that is missing is the business of who needs it; other keys are plain values.
STATUS_KEYS: dict[str, Any] = {
    "task": str,
    "status": Literal["done", "failed", "interrupted", "running"],
    "reason": str,
    "overrides": list[str],
    "seconds": NonNegative | None,
    "objective": float | None,
    "leaky": bool,
    "pid": Annotated[int, Range(low=1, below=2**31)],
    "host": str,
}
TRAINING_KEYS: dict[str, Any] = {
    "monitor": str | None,
    "best_epoch": Count | None,
    "parameters": Count | None,
    "train_seconds": NonNegative | None,
}
NEVER_TESTED_KEYS: dict[str, Any] = {"patients": Count, "largest": Positive, "parasitized": Probability, "uninfected": Probability}
METRICS_KEYS: dict[str, Any] = {
    "leaky": bool,
    "split_hash": str,
    "thresholds": dict[ThresholdName, Threshold],
    "training": dict[str, Any],
    "split": dict[str, Any],
    "subsets": dict[Literal[SUBSETS], dict[str, Any]],  # type: ignore[valid-type]
}
SUBSET_KEYS: dict[str, Any] = {
    "at": dict[ThresholdName, dict[str, float | Numbers | None]],
    "ranking": dict[str, Numbers],
    "patient_level": dict[str, Any] | None,
    "subgroups": list[dict[str, Any]] | None,
    "risk_coverage": dict[str, Any],
    "conformal": list[dict[str, Any]] | None,
    "decision_curve": dict[str, Any],
    "shortcut": dict[str, Numbers | list[str] | str | None],
}


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON file of a run."""
    return _read_mapping(path, json.loads)


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a YAML file of a run; references (*name) are refused, as a few of them can stand for more than any memory holds."""
    return _read_mapping(path, lambda text: yaml.load(text, _NoAliasLoader))  # noqa: S506 - a SafeLoader


def read_status(folder: Path) -> dict[str, Any]:
    """Reads status.json."""
    return _checked(folder / STATUS, read_json(folder / STATUS), STATUS_KEYS)


def read_config(folder: Path) -> dict[str, Any]:
    """Reads config.yaml, the composed configuration, as nested plain values."""
    return read_yaml(folder / CONFIG)


def read_metrics(folder: Path) -> dict[str, Any]:
    """Reads metrics.json of a finished run: at least one subset, and of each the metrics at the first threshold and the AUC."""
    path = folder / METRICS
    metrics = _checked(path, read_json(path), METRICS_KEYS, needed=("thresholds", "subsets"))
    _checked(path, metrics.get("training") or {}, TRAINING_KEYS, "training")
    split = _checked(path, metrics.get("split") or {}, {"never_tested": dict[str, float]}, "split")
    if "never_tested" in split:
        _checked(path, split["never_tested"], NEVER_TESTED_KEYS, "split.never_tested", needed=tuple(NEVER_TESTED_KEYS))
    for name in ("thresholds", "subsets"):
        if not metrics[name]:
            raise RunFolderError(f"run: '{path}': {name}: it holds none.")
    # Keys that are missing get their defaults.
    metrics["thresholds"] = {name: asdict(threshold) for name, threshold in thresholds_of(metrics).items()}
    first = next(iter(metrics["thresholds"]))
    for name, subset in metrics["subsets"].items():
        _checked(path, subset, SUBSET_KEYS, f"subsets.{name}", needed=("at", "ranking"))
        if first not in subset["at"] or "value" not in subset["ranking"].get("auc", {}):
            raise RunFolderError(f"run: '{path}': subsets.{name}: at.{first} or ranking.auc is missing.")
    return metrics


def thresholds_of(metrics: Mapping[str, Any]) -> dict[str, Threshold]:
    """Returns the thresholds of a run by name, from its metrics.json as `read_metrics` gives it."""
    return {name: Threshold(**found) for name, found in metrics["thresholds"].items()}


def read_history(path: Path, *, finished: bool = True) -> list[dict[str, float]]:
    """Returns the rows of a history.csv with numbers alone, nan for what is none; empty without the file.

    Of a run that still writes, or was killed while it did, the last row is dropped if it has no line end: a number
    that is cut off is another number.
    """
    if not path.exists():
        return []
    text = _read_text(path)
    if not finished:
        text = text[: text.rfind("\n") + 1]
    rows = csv.DictReader(io.StringIO(text, newline=""))
    try:
        columns = rows.fieldnames or ()
        if len(columns) > MOST_COLUMNS or any(len(name) > LONGEST_COLUMN or not name.isprintable() for name in columns):
            raise RunFolderError(
                f"run: '{path}': expected at most {MOST_COLUMNS} columns with names of at most {LONGEST_COLUMN} printable letters."
            )
        found = [{key: _float(value) for key, value in row.items() if isinstance(key, str)} for row in rows]
    except csv.Error as error:
        raise RunFolderError(f"run: '{path}', line {rows.line_num}: {error}.") from None
    for number, row in enumerate(found, start=1):
        epoch = row.get("epoch", math.nan)
        row["epoch"] = epoch if 0 < epoch < 1e9 else float(number)
    return found


def read_predictions(folder: Path) -> Predictions:
    """Reads predictions.csv."""
    return _of_csv(folder / PREDICTIONS, read_scores)


def read_further_columns(folder: Path, subset: str) -> tuple[np.ndarray | None, dict[str, np.ndarray]]:
    """Returns what predictions.csv says of a subset's cells beside labels and scores, in the order of `read_predictions`.

    Returns:
        The scores of the shortcut baseline, float64 (N,), None without any; and what subgroups are made of beside names and labels,
        str (N,) by name.
    """
    read = _of_csv(folder / PREDICTIONS, lambda path: read_csv(path, ("subset",)))
    rows = [row for _, row in read if row["subset"] == subset]
    scores = np.array([_float(row.get(COLUMN)) for row in rows])
    names = [name.removeprefix(SUBGROUP) for name in (rows[0] if rows else ()) if name.startswith(SUBGROUP)]
    columns = {name: np.array([row[f"{SUBGROUP}{name}"] for row in rows]) for name in names}
    return scores if len(scores) and ((scores >= 0) & (scores <= 1)).all() else None, columns


def read_split(path: Path, protocol: str) -> Manifest:
    """Reads a split.csv, or one of parent runs, which has its form."""
    return _of_csv(path, lambda path: Manifest.read(path, protocol))


def check_file(path: Path) -> None:
    """Raises a RunFolderError unless the path is a regular file of a size that a run may have written."""
    try:
        facts = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise RunFolderError(
            f"run: '{path.parent}' has no {path.name}. Give the folder of a finished training run: run=outputs/..."
        ) from None
    except (OSError, ValueError) as error:
        raise RunFolderError(f"run: '{path}' cannot be read: {error}.") from None
    # A pipe or a device would be waited for, or never end.
    if not stat.S_ISREG(facts.st_mode):
        raise RunFolderError(f"run: '{path}' is no file.")
    most = LARGEST_MB.get(path.suffix)
    if most is not None and facts.st_size > most * 1e6:
        raise RunFolderError(f"run: '{path}' cannot be read: {facts.st_size:,} bytes; a run writes at most {most} MB there.")


class _NoAliasLoader(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"it refers to another place of the file (*{self.peek_event().anchor}), which no run writes")
        return super().compose_node(parent, index)


def _of_csv(path: Path, read: Callable[[Path], Read]) -> Read:
    check_file(path)
    try:
        return read(path)
    except DataError as error:
        raise RunFolderError(f"run: {error}") from None


def _read_text(path: Path) -> str:
    check_file(path)
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise RunFolderError(f"run: '{path}' cannot be read: {error}.") from None


def _read_mapping(path: Path, parse: Callable[[str], Any]) -> dict[str, Any]:
    text = _read_text(path)
    try:
        found = _plain(parse(text))
    # YAML's constructors raise AttributeError, KeyError and TypeError for values that do not fit their tags.
    except (ValueError, ArithmeticError, AttributeError, LookupError, TypeError, RecursionError, yaml.YAMLError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else " ".join(str(error).split())[:300]
        raise RunFolderError(f"run: '{path}' cannot be read: {reason}.") from None
    if not isinstance(found, dict):
        raise RunFolderError(f"run: '{path}' cannot be read: expected a mapping.")
    return found


def _plain(value: Any, depth: int = 0) -> Any:
    """Returns the value with text for keys; a ValueError unless it is made of texts, finite numbers, true, false, null, lists and mappings."""
    if depth > DEEPEST:
        raise RecursionError
    if isinstance(value, dict):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, depth + 1) for item in value]
    if not math.isfinite(value) if isinstance(value, float) else isinstance(value, int) and abs(value) > LARGEST:
        raise ValueError("it holds a number that is not finite, or too large")
    # Text that looks like a date is one for YAML.
    if isinstance(value, date):
        return str(value)
    if value is None or isinstance(value, str | int | float):  # bool is an int
        return value
    raise ValueError(f"it holds a {type(value).__name__}")


def _checked(path: Path, found: Mapping[str, Any], keys: Mapping[str, Any], inside: str = "", needed: tuple[str, ...] = ()) -> Any:
    """Returns the mapping; a RunFolderError names the first key whose value is not of its type, or that is needed and missing."""
    before = f"{inside}." if inside else ""
    for key, annotation in keys.items():
        if key not in found:
            if key in needed:
                raise RunFolderError(f"run: '{path}' lacks {before}{key}.")
            continue
        try:
            check(f"{before}{key}", found[key], annotation)
        except ConfigError as error:
            raise RunFolderError(f"run: '{path}': {error}") from None
    return found


def _float(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan
