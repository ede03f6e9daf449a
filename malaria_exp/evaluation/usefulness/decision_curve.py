"""Net benefit of acting on a score: the decision curve (Vickers and Elkin 2006, https://doi.org/10.1177/0272989X06295361).

Whoever acts on cells with a probability of at least t holds one missed parasite for as bad as (1 - t) / t false alarms. In that currency the net benefit
of N cells is TP / N - FP / N t / (1 - t), to be compared with that of acting on every cell and of acting on none (0). The band is over patients, at
the prevalence of these cells, as for predictive values (see `intervals.influence`).
"""

from typing import Any, NamedTuple

import numpy as np
from scipy import special

from malaria_exp.evaluation.intervals.clustered_variance import Pull, clustered_variance
from malaria_exp.evaluation.intervals.influence import PatientCells
from malaria_exp.evaluation.intervals.interval_interface import make_cell

GRID = np.arange(1, 100) / 100
# Rows of metrics.json.
SHOWN = (0.05, 0.1, 0.2, 0.5)


class DecisionCurve(NamedTuple):
    """Net benefit per cell, each float64 (G,) over thresholds t; the band is nan where there is none.

    Attributes:
        threshold: t, in (0, 1).
        model: of acting on cells with a score of at least t.
        low: lower end of the model's band.
        high: upper end of it.
        everyone: of acting on every cell.
    """

    threshold: np.ndarray
    model: np.ndarray
    low: np.ndarray
    high: np.ndarray
    everyone: np.ndarray


def decision_curve(
    labels: np.ndarray, scores: np.ndarray, patients: np.ndarray | None, *, confidence: float, grid: np.ndarray = GRID
) -> DecisionCurve:
    """Returns the decision curve.

    Args:
        labels: (N,), 1 = parasitized, 0 = uninfected.
        scores: (N,), probabilities.
        patients: (N,); None if they are not known, then there is no band.
        confidence: of the band at each threshold, in (0, 1).
        grid: thresholds, (G,), in (0, 1).
    """
    number = np.zeros(len(labels), np.int64) if patients is None else np.unique(patients, return_inverse=True)[1]
    cells = PatientCells.of(labels, scores, number)
    parasitized, odds = cells.prevalence, grid / (1 - grid)
    weights = {1: parasitized, 0: (1 - parasitized) * odds}
    pulls, total = [], np.zeros(len(grid))
    for label, count in ((1, cells.parasitized), (0, cells.uninfected)):
        right = np.stack([cells.means((scores >= at) == label, label) for at in grid])
        rate = right @ count / max(count.sum(), 1)
        total = total + weights[label] * rate
        deviations = np.where(count > 0, right - rate[:, None], 0.0) * np.broadcast_to(weights[label], len(grid))[:, None]
        pulls.append(Pull(count, deviations))
    alarms = (1 - parasitized) * odds
    model, half = total - alarms, np.full(len(grid), np.nan)
    if all((pull.cells > 0).sum() > 1 for pull in pulls):
        spread = clustered_variance(pulls)
        half = special.stdtrit(spread.df, (1 + confidence) / 2) * np.sqrt(spread.variance)
    return DecisionCurve(grid, model, model - half, model + half, parasitized - alarms)


def summarize(curve: DecisionCurve) -> dict[str, Any]:
    """Returns the rows of metrics.json.

    Returns:
        {"rows": [{"threshold", "net_benefit": cell, "treat_all", "fewer_alarms": false alarms in 1,000 cells that acting by the score avoids,
        without a miss more, compared with the better of acting on all and on none}, ...], "useful": [low, high], the longest run of thresholds
        at which the band lies above both, or None} with cell as in `IntervalMethod`.
    """
    other = np.maximum(curve.everyone, 0.0)
    rows = []
    for at in SHOWN:
        place = int(np.argmin(np.abs(curve.threshold - at)))
        limits = None if np.isnan(curve.low[place]) else (float(curve.low[place]), float(curve.high[place]))
        gain = (curve.model[place] - other[place]) * (1 - at) / at
        rows.append(
            {
                "threshold": at,
                "net_benefit": make_cell(float(curve.model[place]), limits, None),
                "treat_all": float(curve.everyone[place]),
                "fewer_alarms": float(1000 * gain),
            }
        )
    above = np.concatenate([[False], curve.low > other, [False]])
    edges = np.flatnonzero(np.diff(above.astype(int)))
    runs = edges.reshape(-1, 2)
    useful = None
    if len(runs):
        start, stop = runs[np.argmax(runs[:, 1] - runs[:, 0])]
        useful = [float(curve.threshold[start]), float(curve.threshold[stop - 1])]
    return {"rows": rows, "useful": useful}
