"""What tells runs apart: the keys in which they differ, runs that differ in their seeds or folds alone, and short labels."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from malaria_exp.config.registry import GROUPS
from malaria_exp.evaluation.metrics import direction
from malaria_exp.evaluation.reports.comparison.compared_run import NOTHING, ComparedRun
from malaria_exp.utils.errors import ConfigError

SEEDS = ("seed", "split.seed")
# What the runs of a configuration may differ in.
REPEATS = (*SEEDS, "split.fold")
# These keys say where things are read from, kept and written, and change no result.
LOCATIONS = ("task", "run", "runs", "plugins", "save_as", "cache.root", "cache.workers", "logger", "storage")
LONGEST_LABEL = 60


class Absent:
    """What stands for a key that a run's options do not have; null is a value."""

    def __repr__(self) -> str:
        return ""


ABSENT = Absent()


@dataclass(frozen=True)
class Column:
    """A key of the configuration in which runs differ.

    Attributes:
        key: dotted key.
        values: of each run, in the runs' order; ABSENT where a run has no such key, or its configuration is not known.
        follows: the group whose choice decides the value, as it has one value for each choice; None if it was set by itself.
    """

    key: str
    values: tuple[Any, ...]
    follows: str | None = None

    @property
    def numeric(self) -> bool:
        """Whether its values sort as numbers."""
        present = [value for value in self.values if value is not ABSENT and value is not None]
        return bool(present) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in present)


@dataclass(frozen=True)
class Configuration:
    """Runs that differ in nothing but their seeds and folds.

    Attributes:
        label: what tells it from the other configurations.
        runs: all of them.
    """

    label: str
    runs: tuple[ComparedRun, ...]

    @property
    def done(self) -> list[ComparedRun]:
        """Those that have results, of repeated ones the first: a seed that ran twice is still one seed."""
        return list(_once(self.runs))

    @property
    def repeated(self) -> list[ComparedRun]:
        """Those with results that repeat another: the same configuration, seeds and test cells."""
        first = {id(run) for run in _once(self.runs)}
        return [run for run in self.runs if run.done and id(run) not in first]

    @property
    def leaky(self) -> bool:
        """Whether any of them is."""
        return any(run.leaky for run in self.runs)

    @property
    def by_seed(self) -> list["Configuration"]:
        """A configuration of each seed: one run, or the folds of that seed."""
        groups: dict[tuple[str, ...], list[ComparedRun]] = {}
        for run in self.done:
            groups.setdefault(tuple(text_of(run.config.get(key, ABSENT)) for key in SEEDS) if run.config else (run.name,), []).append(run)
        named = {key: ", ".join(f"{name}={value}" for name, value in zip(SEEDS, key, strict=False)) for key in groups}
        return [Configuration(own[0].name if len(own) == 1 else named[key], tuple(own)) for key, own in groups.items()]

    def spread(self, result: str) -> "Spread":
        """Returns how a result is spread over the runs."""
        return Spread.of([value for run in self.done if (value := run.results.get(result, NOTHING)[0]) is not None])


def _once(runs: Sequence[ComparedRun]) -> Iterable[ComparedRun]:
    found: dict[tuple[str | None, ...], ComparedRun] = {}
    for run in runs:
        if run.done:
            # A run whose configuration is not known repeats none.
            seeds = [text_of(run.config.get(key, ABSENT)) for key in REPEATS] if run.config else [str(run.path)]
            found.setdefault((*seeds, run.test_set), run)
    return found.values()


@dataclass(frozen=True)
class Spread:
    """Mean, smallest and largest of n values, and the sample standard deviation (n - 1), None of less than two."""

    n: int
    mean: float | None
    low: float | None
    high: float | None
    deviation: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Computes it; None for all without a value."""
        if not values:
            return cls(0, None, None, None, None)
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
        return cls(len(values), float(np.mean(values)), min(values), max(values), deviation)


def compare_configs(runs: Sequence[ComparedRun]) -> tuple[list[Column], dict[str, Any]]:
    """Returns the keys in which the runs differ, and the value of each key that all have in common.

    Runs whose configuration is not known (a job that failed before it began) are passed over. The choices of groups come first, then
    keys that were set, then those that follow from a choice.
    """
    known = [run for run in runs if run.config]
    keys = list(dict.fromkeys(key for run in known for key in run.config))
    differing, same = [], {}
    for key in keys:
        values = [run.config.get(key, ABSENT) for run in known]
        if len({text_of(value) for value in values}) > 1:
            differing.append(key)
        else:
            same[key] = values[0]
    columns = []
    for key in differing:
        group = key.partition(".")[0]
        follows = group if group != key and group in differing and _decided_by(group, key, known) else None
        columns.append(Column(key, tuple(run.config.get(key, ABSENT) for run in runs), follows))
    columns.sort(key=lambda column: (column.follows is not None, column.key in REPEATS, column.key not in GROUPS))
    return columns, same


def _decided_by(group: str, key: str, runs: Sequence[ComparedRun]) -> bool:
    """Tells whether the key has one value for each choice of the group."""
    pairs = {(text_of(run.config.get(group, ABSENT)), text_of(run.config.get(key, ABSENT))) for run in runs}
    return len(pairs) == len({choice for choice, _ in pairs})


def text_of(value: Any) -> str:
    """Returns a value as text, equal for equal values: 1 and 1.0 are one number; nothing for a key that is absent."""
    if value is ABSENT:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and math.isfinite(value) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return json.dumps(value, ensure_ascii=False)


def configurations(runs: Sequence[ComparedRun], columns: Sequence[Column]) -> list[Configuration]:
    """Returns the runs grouped by all but their seeds and folds, in the order of the first run of each; a run of unknown configuration is alone."""
    telling = [column for column in columns if not _is(column.key, (*REPEATS, *LOCATIONS))]
    groups: dict[tuple[str, ...], list[int]] = {}
    for index, run in enumerate(runs):
        key = tuple(text_of(column.values[index]) for column in telling) if run.config else ("", run.name)
        groups.setdefault(key, []).append(index)
    first = [indices[0] for indices in groups.values()]
    labels = _labels(runs, [column for column in telling if column.follows is None], first)
    if len(labels) == 1 and len(runs) > 1:
        labels = ["all runs"]
    return [Configuration(label, tuple(runs[i] for i in indices)) for label, indices in zip(labels, groups.values(), strict=True)]


def _is(key: str, roots: Sequence[str]) -> bool:
    return any(key == root or key.startswith(f"{root}.") for root in roots)


def _labels(runs: Sequence[ComparedRun], columns: Sequence[Column], shown: Sequence[int]) -> list[str]:
    """Returns for each run of `shown` the values that tell it from the others, of as few keys as will do."""
    chosen: list[Column] = []

    def distinct(columns: Sequence[Column]) -> int:
        return len({tuple(text_of(column.values[i]) for column in columns) for i in shown})

    for column in columns:
        if distinct([*chosen, column]) > distinct(chosen):
            chosen.append(column)
    shorts = _short_keys([column.key for column in chosen])
    labels = []
    for index in shown:
        items = [
            f"{short}={text_of(column.values[index])}"
            for short, column in zip(shorts, chosen, strict=True)
            if column.values[index] is not ABSENT
        ]
        label = ", ".join(items) if runs[index].config else ""
        labels.append(shorten(label) or runs[index].name)
    # What was cut off may have told two of them apart.
    return [label if labels.count(label) == 1 else f"{label} ({runs[index].name})" for label, index in zip(labels, shown, strict=True)]


def _short_keys(keys: Sequence[str]) -> list[str]:
    """Returns the last part of each dotted key, the whole key where two end alike."""
    ends = [key.rpartition(".")[2] for key in keys]
    return [end if ends.count(end) == 1 else key for key, end in zip(keys, ends, strict=True)]


def shorten(text: str, longest: int = LONGEST_LABEL) -> str:
    """Returns the text in one line, its middle cut out if it is long: what tells two texts apart is often their end."""
    text = " ".join(text.split())
    if len(text) <= longest:
        return text
    half = (longest - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def best_first(groups: Sequence[Configuration]) -> tuple[list[Configuration], str]:
    """Returns the configurations by their mean validation result, and what they were ranked by, in words.

    Never by test results: whoever looks at the best by those has chosen on the test set. Runs with different monitors are not ranked.
    """
    monitors = {run.monitor for group in groups for run in group.done if run.monitor}
    try:
        sign = {"max": -1.0, "min": 1.0}[direction(monitors.pop())] if len(monitors) == 1 else 0.0
    except ConfigError:
        sign = 0.0
    if not sign:
        return list(groups), "first"

    def place(group: Configuration) -> float:
        mean = Spread.of([run.objective for run in group.done if run.objective is not None]).mean
        return math.inf if mean is None else sign * mean

    return sorted(groups, key=place), "best on validation"
