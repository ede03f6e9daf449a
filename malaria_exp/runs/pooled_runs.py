"""Which runs become one result: folds that together test every patient once, and repetitions of that by other seeds or splits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import combinations
from typing import Any

import numpy as np

from malaria_exp.data.cell_table import UNKNOWN
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.reports.comparison.compared_run import ComparedRun
from malaria_exp.evaluation.reports.comparison.configurations import SEEDS, Configuration, compare_configs, configurations
from malaria_exp.evaluation.subgroups.columns import SUBGROUP, kept_name
from malaria_exp.evaluation.thresholds import Threshold
from malaria_exp.runs.read_files import (
    PROVENANCE,
    read_further_columns,
    read_json,
    read_metrics,
    read_predictions,
    thresholds_of,
)
from malaria_exp.utils.errors import RunFolderError, did_you_mean, listing

FOLD = "split.fold"

# A saved configuration may hold any number.
MOST_FOLDS = 100_000


@dataclass(frozen=True, eq=False)
class TestedRun:
    """A finished run with the scores of its test cells.

    Attributes:
        run: what a comparison knows of it.
        metrics: its metrics.json.
        predictions: its test cells.
        thresholds: its thresholds by name.
        data_hash: of all cells that it was trained, validated and tested on; None if it is not known.
        shortcut_scores: of the shortcut baseline on its test cells, float64 (N,); None without one.
        columns: that subgroups of its test cells are also made of, str (N,), by name.
    """

    run: ComparedRun
    metrics: dict[str, Any]
    predictions: Predictions
    thresholds: dict[str, Threshold]
    data_hash: str | None
    shortcut_scores: np.ndarray | None = None
    columns: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def read(cls, run: ComparedRun) -> "TestedRun":
        """Reads the folder; a RunFolderError says what is wrong with it."""
        metrics = read_metrics(run.path)
        if "test" not in metrics["subsets"]:
            raise RunFolderError(
                f"runs: '{run.name}' has not opened its test subset (evaluation.test=false), and only test cells are pooled."
                " Run it again with evaluation.test=true."
            )
        known = read_json(run.path / PROVENANCE).get("data_hash")
        tested = read_predictions(run.path).select("test")
        shortcut_scores, columns = read_further_columns(run.path, "test")
        return cls(run, metrics, tested, thresholds_of(metrics), None if known is None else str(known), shortcut_scores, columns)

    def setting(self, key: str) -> Any:
        """Returns a value of the configuration, a list as text; None without such a key."""
        value = self.run.config.get(key)
        return str(value) if isinstance(value, list) else value


@dataclass(frozen=True, eq=False)
class Repetition:
    """Runs that together test each patient once: the folds of one cross-validation, or a single run."""

    runs: tuple[TestedRun, ...]

    @property
    def missing(self) -> list[int]:
        """The folds that are not there."""
        first = self.runs[0]
        folds = first.setting("split.k") if first.setting("split") == "patient_kfold" else None
        return sorted(set(range(folds)) - {run.setting(FOLD) for run in self.runs}) if isinstance(folds, int) and folds < MOST_FOLDS else []

    @property
    def seeds(self) -> str:
        """What tells it from other repetitions: "seed 1, split.seed 0"."""
        found = {key: dict.fromkeys(run.setting(key) for run in self.runs if run.setting(key) is not None) for key in SEEDS}
        return ", ".join(f"{key} {' '.join(map(str, values))}" for key, values in found.items() if values)

    @property
    def predictions(self) -> Predictions:
        """The test cells of all of its runs, in the runs' order."""
        parts = [run.predictions for run in self.runs]
        return Predictions(
            **{column.name: np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(Predictions)}
        )

    def columns(self, asked: Sequence[str]) -> dict[str, np.ndarray]:
        """Returns the columns that subgroups are also made of, str (N,) by name, row by row of the predictions.

        Args:
            asked: their names; without any, those that all runs have.

        Raises:
            RunFolderError: a run has none of an asked name.
        """
        for run in self.runs:
            for name in asked:
                if kept_name(name) not in run.columns:
                    raise RunFolderError(
                        f"evaluation.subgroups: '{name}': '{run.run.name}' was trained without it, so its predictions.csv has no column"
                        f" {SUBGROUP}{name}.{did_you_mean(name, run.columns)} Name the data, dataset=... dataset.csv=..., to take it from there."
                    )
        names = [kept_name(name) for name in asked] or [
            name for name in self.runs[0].columns if all(name in run.columns for run in self.runs)
        ]
        return {name: np.concatenate([run.columns[name] for run in self.runs]) for name in names}

    @property
    def row_runs(self) -> np.ndarray:
        """The number of the run, int64 (N,), that each row of the predictions comes from."""
        return np.repeat(np.arange(len(self.runs)), [len(run.predictions) for run in self.runs])


@dataclass(frozen=True, eq=False)
class PooledConfiguration:
    """Runs of one configuration that become one result.

    Attributes:
        label: what tells it from other configurations.
        repetitions: those that count, at least one.
        notes: what a reader must know: missing folds, repeated runs, repetitions that do not count.
    """

    label: str
    repetitions: tuple[Repetition, ...]
    notes: list[str]

    @property
    def runs(self) -> list[TestedRun]:
        """The runs of all repetitions."""
        return [run for repetition in self.repetitions for run in repetition.runs]

    @property
    def same_cells(self) -> bool:
        """Whether all repetitions divided the patients alike, and tested the same cells."""
        splits = {run.setting("split.seed") for run in self.runs}
        cells = {tuple(sorted(repetition.predictions.cell_id.tolist())) for repetition in self.repetitions}
        return len(splits) == 1 and len(cells) == 1

    @property
    def words(self) -> str:
        """What was pooled: "2 x 5 folds", "3 seeds"."""
        folds = {len(repetition.runs) for repetition in self.repetitions}
        times = len(self.repetitions)
        if folds == {1}:
            return f"{times} {'seeds' if self.same_cells else 'splits'}"
        return f"{times} x {folds.pop()} folds" if times > 1 and len(folds) == 1 else f"{len(self.runs)} folds"


def pooled_configurations(runs: Sequence[ComparedRun]) -> list[PooledConfiguration]:
    """Groups the runs by configuration, and those of each into repetitions; configurations of a single finished run are passed over.

    Args:
        runs: as a comparison reads them.

    Raises:
        RunFolderError: runs of one configuration have different data, test a patient twice, are sealed, or cannot be read.
    """
    found = []
    unknown = [run for run in runs if not run.config]
    several = [run for group in _grouped(runs) if len(group.done) > 1 for run in group.runs]
    for group in _grouped(several):
        tested = [TestedRun.read(run) for run in group.done]
        _check_data(tested)
        repetitions, notes = _complete(list(_repetitions(tested)))
        if group.repeated:
            names = ", ".join(run.name for run in group.repeated)
            notes.append(f"Repeated runs: {names}. Another of the same configuration, seeds and test cells is there; only that one counts.")
        if failed := [run for run in (*group.runs, *unknown) if not run.done]:
            reasons = "; ".join(f"{run.name} ({run.status}{f': {run.reason}' if run.reason else ''})" for run in failed)
            notes.append(f"Without results: {reasons}.")
        label = group.label if group.label != "all runs" else _name(tested[0])
        found.append(PooledConfiguration(label, tuple(repetitions), notes))
    return found


def _grouped(runs: Sequence[ComparedRun]) -> list[Configuration]:
    return configurations(runs, compare_configs(runs)[0])


def _name(run: TestedRun) -> str:
    return f"{run.setting('model')} on {run.setting('dataset')}"


def _check_data(runs: Sequence[TestedRun]) -> None:
    """Refuses runs of different data."""
    by_hash: dict[str | None, list[str]] = {}
    for run in runs:
        by_hash.setdefault(run.data_hash, []).append(run.run.name)
    if len(by_hash) > 1:
        rows = [f"{', '.join(names)}: {f'data {data[:12]}' if data else 'unknown data'}" for data, names in by_hash.items()]
        raise RunFolderError(
            f"runs: runs of one configuration were made of different data (data_hash in {PROVENANCE}), so they are no folds or seeds of"
            f" one experiment:\n{listing(rows)}\nPool those of one data set: runs=[...]"
        )


def _repetitions(runs: Sequence[TestedRun]) -> Iterator[Repetition]:
    """Yields the runs of each split and seed; folds that have a seed each are one repetition too."""
    splits: dict[Any, dict[Any, list[TestedRun]]] = {}
    for run in runs:
        # Other splits than k-fold have no parts that belong together.
        alone = id(run) if run.setting(FOLD) is None else None
        splits.setdefault((run.setting("split.seed"), alone), {}).setdefault(run.setting("seed"), []).append(run)
    for by_seed in splits.values():
        groups = list(by_seed.values())
        joined = [run for group in groups for run in group]
        if len(joined) == len(groups) == len({run.setting(FOLD) for run in joined}):
            groups = [joined]
        for group in groups:
            _check_apart(group)
            yield Repetition(tuple(sorted(group, key=lambda run: (len(str(run.setting(FOLD))), str(run.setting(FOLD))))))


def _check_apart(runs: Sequence[TestedRun]) -> None:
    """Refuses folds that share test patients: they would count twice."""
    for first, second in combinations(runs, 2):
        shared = set(first.predictions.patient.tolist()) & set(second.predictions.patient.tolist()) - {UNKNOWN}
        cells = set(first.predictions.cell_id.tolist()) & set(second.predictions.cell_id.tolist())
        if shared or cells:
            what = f"{len(shared)} patients, among them {min(shared)}" if shared else f"{len(cells)} cells, among them {min(cells)}"
            raise RunFolderError(
                f"runs: '{first.run.name}' and '{second.run.name}' are folds of one split (split.seed={first.setting('split.seed')}), and both"
                f" tested {what}. They would count twice; pool runs of one cross-validation."
            )


def _complete(repetitions: list[Repetition]) -> tuple[list[Repetition], list[str]]:
    """Returns the repetitions that count, those with the fewest missing folds, and notes on what is missing."""
    fewest = min(len(repetition.missing) for repetition in repetitions)
    kept = [one for one in repetitions if len(one.missing) == fewest]
    # Repetitions of one split are compared on the same cells.
    kept = [one for one in kept if one.missing == kept[0].missing]
    notes = []
    if missing := kept[0].missing:
        folds = len(missing) + len(kept[0].runs)
        which = f"fold{'s' if len(missing) > 1 else ''} {', '.join(map(str, missing))}"
        notes.append(
            f"INCOMPLETE: {which} of {folds} {'are' if len(missing) > 1 else 'is'} missing. The patients of {'those folds' if len(missing) > 1 else 'that fold'}"
            " were not tested; these numbers are of the others alone."
        )
    notes += [
        f"Not counted: the repetition of {one.seeds} ({', '.join(run.run.name for run in one.runs)}), whose folds"
        f" {', '.join(map(str, one.missing))} are missing while others have them."
        for one in repetitions
        if one not in kept
    ]
    return kept, notes
