"""What tells runs apart: configurations side by side, runs that differ in their seeds alone, short labels."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from malaria_exp.components.task._compare_read import RESULTS, ComparedRun
from malaria_exp.config.registry import GROUPS
from malaria_exp.evaluation.metrics import direction
from malaria_exp.utils.errors import ConfigError

SEEDS = ("seed", "split.seed")
# Where things are read from, kept and written changes no result: runs that differ in these alone count as one configuration.
PLACES = ("task", "run", "runs", "plugins", "save_as", "cache.root", "cache.workers", "logger", "storage")
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
        follows: the group whose choice decides the value, None if it was set by itself: such a key is no news beside the choice.
    """

    key: str
    values: tuple[Any, ...]
    follows: str | None = None

    @property
    def kind(self) -> Literal["number", "text"]:
        """How its values sort."""
        present = [value for value in self.values if value is not ABSENT and value is not None]
        return "number" if present and all(isinstance(value, int | float) and not isinstance(value, bool) for value in present) else "text"


@dataclass(frozen=True)
class Configuration:
    """Runs that differ in nothing but their seeds.

    Attributes:
        label: what tells it from the other configurations.
        runs: all of them.
    """

    label: str
    runs: tuple[ComparedRun, ...]

    @property
    def done(self) -> list[ComparedRun]:
        """Those that have results."""
        return [run for run in self.runs if run.done]

    @property
    def leaky(self) -> bool:
        """Whether any of them is."""
        return any(run.leaky for run in self.runs)

    def spread(self, result: str) -> "Spread":
        """Returns how a result is spread over the runs."""
        return Spread.of([value for run in self.done if (value := run.results.get(result, (None,))[0]) is not None])


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

    Runs whose configuration is not known (a job that failed before it began) are not asked. The choices of groups come first, then keys
    that were set, then those that follow from a choice.
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
    columns.sort(key=lambda column: (column.follows is not None, column.key in SEEDS, column.key not in GROUPS))
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
    """Returns the runs grouped by all but their seeds, in the order of the first run of each; a run of unknown configuration is alone."""
    telling = [column for column in columns if not _is(column.key, (*SEEDS, *PLACES))]
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

    def parts(columns: Sequence[Column]) -> int:
        return len({tuple(text_of(column.values[i]) for column in columns) for i in shown})

    for column in columns:
        if parts([*chosen, column]) > parts(chosen):
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


def cautions(runs: Sequence[ComparedRun]) -> list[str]:
    """Returns what a reader must know before comparing the numbers: other test cells, leaks, other monitors, runs without results."""
    done = [run for run in runs if run.done]
    notes = []
    sets = {run.test_set for run in done}
    if len(sets) > 1:
        what = f"{len(sets)} different sets of cells" if None not in sets else "cells that are not all known to be the same"
        notes.append(
            f"These runs were tested on {what}: their numbers are not comparable cell by cell. A difference between two of them may be"
            " one between the cells. The column 'test set' says which runs share theirs."
        )
    if leaky := sum(run.leaky for run in done):
        notes.append(
            f"LEAKY, {leaky} of {len(done)} runs: patients or images stood in training and in test."
            " Their numbers are too high; do not compare them with the others."
        )
    if len({run.monitor for run in done} - {None}) > 1:
        notes.append("The runs chose their epochs by different metrics; the column 'val monitor' holds different things.")
    if missing := len(runs) - len(done):
        notes.append(f"Without results: {missing} of {len(runs)} runs. They are listed below, with the reason.")
    return notes


def letters_of_test_sets(runs: Sequence[ComparedRun]) -> dict[str, str]:
    """Returns a short name for each set of test cells, A the first run's; empty if all share one."""
    sets = list(dict.fromkeys(run.test_set for run in runs if run.done and run.test_set))
    several = len(sets) > 1 or (any(run.done and run.test_set is None for run in runs) and sets)
    return {one: chr(65 + i % 26) + str(i // 26 or "") for i, one in enumerate(sets)} if several else {}


def spreads(configuration: Configuration) -> dict[str, Spread]:
    """Returns the spread of each result over a configuration's seeds."""
    return {name: configuration.spread(name) for name in RESULTS}


def best_first(groups: Sequence[Configuration]) -> tuple[list[Configuration], str]:
    """Returns the configurations by their mean validation result, and what they were ranked by, in words.

    Never by test results: whoever looks at the best by those has chosen on the test set. Runs with different monitors cannot be ranked.
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
