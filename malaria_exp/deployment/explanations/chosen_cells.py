"""Which cells of a run are explained: its errors, those it is least sure of, and some at random."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.usefulness.risk_coverage import certainty

TITLES = {
    "missed": (
        "Missed",
        "Labeled parasitized, predicted uninfected; the surest first. What speaks against a parasite here, or is nothing seen?",
    ),
    "alarms": ("False alarms", "Labeled uninfected, predicted parasitized; the surest first. What was taken for a parasite?"),
    "doubtful": ("Doubtful", "The scores nearest to the threshold: a little more or less, and the model would have said the other."),
    "random": ("Random", "Drawn at random by the run's seed from all others: what the model usually looks at."),
    "images": ("Your images", "In the order given."),
}


Subset = Literal["val", "test"]


@dataclass(frozen=True)
class Settings:
    """The keys of task=explain, as components/task/explain.py says what they are."""

    errors: int
    doubtful: int
    random: int
    subset: Subset | None
    check: int
    point: int


@dataclass(frozen=True)
class Group:
    """Cells that were chosen for one reason.

    Attributes:
        name: a key of TITLES.
        rows: of the predictions, in the order they are shown.
    """

    name: str
    rows: list[int]


def choose(predictions: Predictions, threshold: float, *, errors: int, doubtful: int, random: int, seed: int) -> list[Group]:
    """Returns the groups that have cells; no cell is in two.

    Args:
        predictions: of one subset.
        threshold: at which cells are predicted parasitized.
        errors: at most so many missed cells, and so many false alarms, those with the surest scores.
        doubtful: at most so many of those nearest to the threshold, in log-odds.
        random: at most so many of the others.
        seed: of the draw.
    """
    score, parasitized = predictions.score, predictions.label == 1
    predicted, everyone = score >= threshold, np.ones(len(score), bool)
    drawn = np.random.default_rng(seed).permutation(len(score))
    groups, left = [], everyone.copy()
    for name, which, order, most in (
        ("missed", parasitized & ~predicted, score, errors),
        ("alarms", ~parasitized & predicted, -score, errors),
        ("doubtful", everyone, certainty(score, threshold), doubtful),
        ("random", everyone, drawn, random),
    ):
        rows = np.flatnonzero(which & left)
        rows = rows[np.argsort(order[rows], kind="stable")][:most]
        left[rows] = False
        if len(rows):
            groups.append(Group(name, rows.tolist()))
    return groups
