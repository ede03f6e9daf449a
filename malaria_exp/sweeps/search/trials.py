"""The trials of a sweep, read from the files of their runs alone; the same for every engine."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from malaria_exp.runs import read_files
from malaria_exp.runs.run_folder import PREVIOUS_ATTEMPTS, STATUS
from malaria_exp.sweeps.job_status import read_json, read_status
from malaria_exp.sweeps.sealed_jobs import KEY
from malaria_exp.sweeps.search.file import Metric
from malaria_exp.utils.atomic_files import write_json
from malaria_exp.utils.errors import RunFolderError

# Folders of a sweep: its trials' runs, what they printed, and how those trials ended that could not record it themselves.
TRIALS, OUTPUTS, ENDED = "trials", "output", "ended"
# Status of a trial that ran to its end but has no finite value of the metric.
NO_NUMBER = "no number"


@dataclass(frozen=True)
class Trial:
    """A trial and its result.

    Attributes:
        name: of its folder.
        path: its folder.
        status: done, failed, interrupted, running, pruned (stopped as one of the worse), or "no number" (no finite value).
        overrides: as its run was given them.
        values: of the overrides, by their keys.
        objective: the metric's best value over the epochs; None if there is none.
        history: the metric at each epoch, from the first on; nan where it has no value.
        leaky: whether its run shares patients or images between training and evaluation.
        seconds: of the whole run.
        reason: why it failed.
    """

    name: str
    path: Path
    status: str
    overrides: list[str]
    values: dict[str, Any]
    objective: float | None = None
    history: tuple[float, ...] = ()
    leaky: bool = False
    seconds: float | None = None
    reason: str = ""

    @property
    def sealed(self) -> bool:
        """Whether its run left the test subset sealed."""
        return self.values.get(KEY) is False


def read_trials(folder: Path, metric: Metric) -> list[Trial]:
    """Returns the trials of a sweep, in the order they began.

    Args:
        folder: of the sweep.
        metric: what they are judged by.
    """
    found = [read_trial(path, metric, folder) for path in (folder / TRIALS).glob("*") if path.is_dir() and path.name != PREVIOUS_ATTEMPTS]
    return sorted(found, key=lambda trial: (len(trial.name), trial.name) if trial.name.isdigit() else (math.inf, trial.name))


def read_trial(path: Path, metric: Metric, folder: Path) -> Trial:
    """Returns the trial whose run lies at `path`, of the sweep in `folder`; without a status it failed before its run began."""
    status = read_status(path) or {"status": "failed", "reason": f"its run left no {STATUS}"}
    history = read_history(path, metric.column)
    finite = [value for value in history if math.isfinite(value)]
    best = (max if metric.goal == "maximize" else min)(finite) if finite else None
    state = str(status.get("status", "failed"))
    reason = str(status.get("reason", ""))
    noted = read_json(folder / ENDED / f"{path.name}.json")
    if noted and state in ("running", "interrupted", "failed"):
        state, reason = noted["ended"], noted["reason"]
    if state == "done" and best is None:
        state, reason = NO_NUMBER, f"{metric.column} was never a finite number"
    return Trial(
        name=path.name,
        path=path,
        status=state,
        overrides=[str(item) for item in status.get("overrides", [])],
        values=read_values([str(item) for item in status.get("overrides", [])]),
        objective=best,
        history=history,
        leaky=bool(status.get("leaky")),
        seconds=status.get("seconds"),
        reason=reason,
    )


def note_end(folder: Path, name: str, how: str, reason: str) -> None:
    """Notes how a trial ended that could not record it itself.

    Args:
        folder: of the sweep.
        name: of the trial's folder.
        how: pruned, failed or interrupted.
        reason: in words.
    """
    write_json(folder / ENDED / f"{name}.json", {"ended": how, "reason": reason})


def read_history(path: Path, column: str) -> tuple[float, ...]:
    """Returns a column of a run's history.csv so far; empty without the file or the column."""
    try:
        rows = read_files.read_history(path / read_files.HISTORY, finished=False)
    except RunFolderError:
        return ()
    return tuple(row[column] for row in rows if column in row)


def read_values(overrides: list[str]) -> dict[str, Any]:
    """Returns what overrides set, by their keys; lists and sections as plain values."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    values: dict[str, Any] = {}
    for text in overrides:
        try:
            override = OverridesParser.create().parse_override(text)
            values[override.key_or_group] = _plain(override.value())
        except HydraException:
            # Redacted overrides may not be valid.
            continue
    return values


def best_first(trials: list[Trial], metric: Metric) -> list[Trial]:
    """Returns those that ran to their end with the best first, then the others by the best value they reached, without a value last."""
    sign = -1 if metric.goal == "maximize" else 1
    return sorted(trials, key=lambda trial: (trial.objective is None, trial.status != "done", sign * (trial.objective or 0)))


def winner(trials: list[Trial], metric: Metric) -> Trial | None:
    """Returns the best of the trials that ran to their end, the first of `best_first`; None if there is none."""
    first = best_first(trials, metric)[:1]
    return first[0] if first and first[0].status == "done" and first[0].objective is not None else None


def _plain(value: Any) -> Any:
    """Returns a value of Hydra's parser without its quotes."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    return getattr(value, "text", value)
