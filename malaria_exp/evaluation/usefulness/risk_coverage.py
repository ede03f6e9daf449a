"""Error against coverage: the model answers only the cells that it is surest of, and leaves the others to a person.

El-Yaniv and Wiener 2010 (https://jmlr.org/papers/v11/el-yaniv10a.html); the area under the curve is that of Geifman, Uziel and El-Yaniv 2019
(https://arxiv.org/abs/1805.08206). A cell is the surer, the farther its logit is from the threshold's.
"""

from typing import Any

import numpy as np

from malaria_exp.evaluation.intervals.interval_interface import IntervalMethod, complement
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.thresholds import HALF

# Fractions of the cells that are answered.
COVERAGES = (1.0, 0.95, 0.9, 0.8)
# Scores of exactly 0 and 1 have no finite logit.
SMALLEST = 1e-12


def certainty(scores: np.ndarray, threshold: np.ndarray | float) -> np.ndarray:
    """Returns the distance of scores (N,) from the threshold, of all or of each cell, on the logit scale, (N,)."""
    logits = (np.log(clipped / (1 - clipped)) for clipped in (np.clip(each, SMALLEST, 1 - SMALLEST) for each in (scores, threshold)))
    return np.abs(next(logits) - next(logits))


def risk_curve(wrong: np.ndarray, sure: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns coverages and the errors among the cells that are answered, each (G,), with a point for each level of certainty.

    Args:
        wrong: bool (N,).
        sure: certainty (N,); equal ones are answered together.
    """
    order = np.argsort(-sure, kind="stable")
    last = np.flatnonzero(np.append(np.diff(sure[order]) < 0, True))
    return (last + 1) / len(wrong), np.cumsum(wrong[order])[last] / (last + 1)


def risk_coverage(cells: Predictions, threshold: np.ndarray | float, *, interval: IntervalMethod, **settings: Any) -> dict[str, Any]:
    """Returns the area under the curve and the errors at COVERAGES.

    Args:
        cells: of one subset.
        threshold: of all cells, or of each, (N,).
        interval: how intervals are computed.
        **settings: resamples, confidence and seed of `interval`.

    Returns:
        {"aurc", "aurc_best": of a model with as many errors that is least sure of them, "rows": [{"coverage", "answered", "missed", "alarms":
        numbers of cells, "error": cell}, ...]} with cell as in `IntervalMethod`. With equal scores, more cells are answered than asked for.
    """
    predicted = cells.score >= threshold
    positive = cells.label == 1
    wrong, sure = predicted != positive, certainty(cells.score, threshold)
    coverage, risk = risk_curve(wrong, sure)
    error = float(wrong.mean())
    rows = []
    for wanted in COVERAGES:
        last = max(int(np.ceil(wanted * len(sure))), 1) - 1
        least = -np.partition(-sure, last)[last]
        kept = sure >= least
        decided = predicted[kept].astype(np.float64)
        right = interval(cells.label[kept], decided, cells.patient[kept], {"own": HALF}, **settings)["at"]["own"]["accuracy"]
        rows.append(
            {
                "coverage": wanted,
                "answered": int(kept.sum()),
                "missed": int((kept & positive & wrong).sum()),
                "alarms": int((kept & ~positive & wrong).sum()),
                "error": complement(right),
            }
        )
    best = error + (1 - error) * np.log(1 - error) if error < 1 else 1.0
    return {"aurc": float((risk * np.diff(coverage, prepend=0.0)).sum()), "aurc_best": float(best), "rows": rows}
