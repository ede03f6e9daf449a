"""A run as a comparison sees it: plain values, whoever read them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Results in tables: the ranking metric, and the rates at the first threshold.
RESULTS = ("auc", "accuracy", "sensitivity", "specificity", "ppv")
# Rates at the other thresholds; in runs.csv only.
AT_OTHERS = ("sensitivity", "specificity")
DONE, UNREADABLE = "done", "unreadable"
# The value, and the ends of its interval.
Interval = tuple[float | None, float | None, float | None]
NOTHING: Interval = (None, None, None)


@dataclass
class ComparedRun:
    """A run to compare; what is not known of it is None, or empty.

    Attributes:
        name: short name, unique among the runs compared.
        path: its folder.
        status: of status.json (done, failed, interrupted, running), or "unreadable".
        reason: why it is not done.
        overrides: what the user typed.
        config: dotted key to plain value; a group that holds several options has their names under its own key.
        leaky: training and test share patients or images.
        results: metric to (value, low, high) on the reported subset; low and high None without an interval.
        at_others: rates at the other thresholds, as sensitivity_at_youden.
        test_set: digest of the cells the results were measured on.
        threshold: the first of its thresholds, which the rates in tables are at.
        subset: the subset of the results, "test" as a rule.
        monitor: the validation metric that chose the epoch.
        objective: its best value.
        best_epoch: the epoch whose weights were kept.
        parameters: of the model.
        seconds: of the whole run.
        train_seconds: of training alone.
        history: a row an epoch, column to value, nan where there is no number.
    """

    name: str
    path: Path
    status: str
    reason: str = ""
    overrides: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    leaky: bool = False
    results: dict[str, Interval] = field(default_factory=dict)
    at_others: dict[str, float | None] = field(default_factory=dict)
    test_set: str | None = None
    threshold: float = 0.5
    subset: str | None = None
    monitor: str | None = None
    objective: float | None = None
    best_epoch: int | None = None
    parameters: int | None = None
    seconds: float | None = None
    train_seconds: float | None = None
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Whether it has results."""
        return self.status == DONE


def shared_subset(runs: Sequence[ComparedRun]) -> str:
    """Returns the subset that all results are of; an empty text if they are of several."""
    subsets = {run.subset for run in runs if run.done}
    return subsets.pop() or "" if len(subsets) == 1 else ""
