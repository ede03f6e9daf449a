"""What a run's record says, as short texts, each with the file and keys it comes from. Nothing stands here that the record does not hold.

A card names no patient and no folder of the machine: it is made to be given away.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from malaria_exp.deployment.card.record import CardRecord
from malaria_exp.evaluation.metrics import METRICS
from malaria_exp.evaluation.reports.templates import interval, number
from malaria_exp.evaluation.summary import shown_cells

Say = Callable[[CardRecord], str | None]
# What the card's tables and texts show of a subset, at the first threshold where one is needed.
SHOWN = ("auc", "sensitivity", "specificity", "accuracy", "ppv", "npv", "brier")
# Damaged or foreign records: what they do not say as expected, they do not say.
UNSAID = (KeyError, TypeError, ValueError, AttributeError, IndexError, StopIteration, OSError)


class Fact(NamedTuple):
    """A text, and where it stands: "metrics.json: thresholds"."""

    text: str
    where: str


FACTS: dict[str, tuple[str, Say]] = {}


def fact(where: str) -> Callable[[Say], Say]:
    """Makes a function the fact of its name; its docstring says what it is about, and it returns None where the record does not say."""

    def add(say: Say) -> Say:
        FACTS[say.__name__] = (where, say)
        return say

    return add


def facts(record: CardRecord) -> dict[str, Fact]:
    """Returns what the record says, by name."""
    found = {}
    for name, (where, say) in FACTS.items():
        try:
            text = say(record)
        except UNSAID:
            continue
        if text:
            found[name] = Fact(text, where)
    return found


def anonymous(text: str) -> str:
    """Returns a command or a setting with the last part of each path alone."""
    return re.sub(r"(?<![\w:/])(?:~|\.{0,2})/(?:[^\s,=\]'\"]*/)?", "", text)


def estimates(record: CardRecord, subset: str, names: tuple[str, ...] = SHOWN) -> str:
    """Returns the metrics of a subset with their intervals, as one text."""
    cells = shown_cells(record.metrics, subset)
    return ", ".join(
        f"{METRICS[name].label} {number(cells[name]['value'])}" + (f" ({interval(cells[name])})" if interval(cells[name]) else "")
        for name in names
    )
