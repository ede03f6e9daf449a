"""The pointwise band of the ROC curve over patients."""

import numpy as np

from malaria_exp.evaluation.intervals.clustered_variance import Pull, clustered_variance
from malaria_exp.evaluation.intervals.influence import PatientCells
from malaria_exp.evaluation.intervals.interval_interface import no_interval
from malaria_exp.evaluation.intervals.limits import rate_limits
from malaria_exp.evaluation.metrics import Ranking


def roc_band(
    labels: np.ndarray, scores: np.ndarray, patients: np.ndarray, grid: np.ndarray, *, confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns the pointwise band of the ROC curve over patients, or None if it is undefined.

    At a false positive rate the sensitivity is uncertain by itself, and because the threshold of that rate is. By the delta method a
    patient pulls it by its own sensitivity, and by its own false positive rate times the curve's slope (Pepe 2003, The Statistical
    Evaluation of Medical Tests, section 5.2), here the slope of the chord over the interval of the false positive rate.

    Args:
        labels: (N,), 1 = parasitized, 0 = uninfected.
        scores: (N,).
        patients: (N,).
        grid: (G,), false positive rates in [0, 1], rising.
        confidence: of each point, in (0, 1).

    Returns:
        Sensitivities (low, high), each (G,), in [0, 1], both rising.
    """
    labels, scores = np.asarray(labels), np.asarray(scores)
    names, patient = np.unique(np.asarray(patients), return_inverse=True)
    cells = PatientCells.of(labels, scores, patient)
    if no_interval(names) or min((cells.parasitized > 0).sum(), (cells.uninfected > 0).sum()) < 2:
        return None
    ranking = Ranking(labels, scores)
    tp, fp = (np.append(0.0, kind) / kind[-1] for kind in ranking.curve())
    # The step of the curve at each rate, and the cells that are predicted parasitized there, by patient.
    steps = np.searchsorted(fp, grid, side="right") - 1
    own = {label: _predicted(cells, ranking, steps, label) for label in (1, 0)}
    sensitivity, rate = tp[steps], fp[steps]
    misses = _pull(cells.uninfected, own[0], rate)
    low, high = rate_limits(rate, clustered_variance([misses]), cells.uninfected.sum(), confidence)
    slope = (np.interp(high, fp, tp) - np.interp(low, fp, tp)) / np.maximum(high - low, 1e-12)
    found = _pull(cells.parasitized, own[1], sensitivity)
    pulls = [found, Pull(misses.cells, -slope[:, None] * misses.deviations)]
    band = rate_limits(sensitivity, clustered_variance(pulls), cells.parasitized.sum(), confidence)
    return np.maximum.accumulate(band[0]), np.minimum.accumulate(band[1][::-1])[::-1]


def _predicted(cells: PatientCells, ranking: Ranking, steps: np.ndarray, label: int) -> np.ndarray:
    """Returns each patient's fraction of predicted cells of a class at each of the curve's steps, (G, K)."""
    chosen, total = cells.labels == label, cells.parasitized if label else cells.uninfected
    # A cell is predicted from the first point whose step has reached its own.
    first = np.searchsorted(steps, ranking.step_of_cell[chosen] + 1)
    counts = np.bincount(first * len(total) + cells.patient[chosen], minlength=(len(steps) + 1) * len(total))
    return np.cumsum(counts.reshape(-1, len(total))[: len(steps)], axis=0) / np.maximum(total, 1)


def _pull(cells: np.ndarray, own: np.ndarray, rate: np.ndarray) -> Pull:
    return Pull(cells, np.where(cells > 0, own - rate[:, None], 0.0))
