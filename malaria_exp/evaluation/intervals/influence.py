"""How much each cell, and so each patient, pulls a metric: derivatives by the means of the two classes.

The prevalence of these cells is held: predictive values, accuracy, F1 and average precision are those at this prevalence (for predictive
values Mercaldo, Lau and Zhou 2007, https://doi.org/10.1002/sim.2677), for in a set of cells it is mostly a choice of those who picked them.
"""

from dataclasses import dataclass

import numpy as np

from malaria_exp.evaluation.intervals.clustered_variance import Pull
from malaria_exp.evaluation.metrics import Counts, Ranking, cell_losses, rates

# Fractions of cells: within a patient their cells vary as coins do, which tells the spread of cells from that of patients. For the other
# metrics the spread between patients holds both; without that, intervals from nine patients are too short.
FRACTIONS = ("accuracy", "sensitivity", "specificity", "ppv", "npv")
# Of sensitivity and specificity, for derivatives: their error is about 1e-10.
STEP = 1e-5


@dataclass(frozen=True)
class PatientCells:
    """The cells of K patients.

    Attributes:
        labels: (N,), 1 = parasitized, 0 = uninfected.
        scores: (N,).
        patient: (N,), index of the patient, 0 to K - 1.
        parasitized: (K,), number of parasitized cells.
        uninfected: (K,), number of uninfected cells.
    """

    labels: np.ndarray
    scores: np.ndarray
    patient: np.ndarray
    parasitized: np.ndarray
    uninfected: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray, scores: np.ndarray, patient: np.ndarray) -> "PatientCells":
        """Counts the cells of each patient."""
        patients = int(patient.max()) + 1
        number = [np.bincount(patient[labels == label], minlength=patients).astype(np.float64) for label in (1, 0)]
        return cls(labels, np.asarray(scores, dtype=np.float64), patient, *number)

    @property
    def prevalence(self) -> float:
        """Fraction of the cells that is parasitized."""
        return float(self.parasitized.sum() / len(self.labels))

    def means(self, values: np.ndarray, label: int) -> np.ndarray:
        """Returns each patient's mean of values (N,) over its cells of a class, (K,); 0 without such cells."""
        chosen, cells = self.labels == label, self.parasitized if label else self.uninfected
        return np.bincount(self.patient[chosen], values[chosen], len(cells)) / np.maximum(cells, 1)

    def pulls(self, values: np.ndarray) -> list[Pull]:
        """Returns the pulls of both classes, or of the one there is, from the derivative of the metric by each cell's weight in its class.

        Args:
            values: (N,), up to a constant in each class.
        """
        found = []
        for label, cells in ((1, self.parasitized), (0, self.uninfected)):
            if cells.any():
                means = self.means(values, label)
                found.append(Pull(cells, np.where(cells > 0, means - (cells * means).sum() / cells.sum(), 0.0)))
        return found


def placements(ranking: Ranking, labels: np.ndarray) -> np.ndarray:
    """Returns for each cell the fraction of the other class that it is on the right side of, (N,), ties one half; the mean over a class is the AUC.

    Args:
        ranking: of the cells, which are of both classes.
        labels: (N,), 1 = parasitized, 0 = uninfected.
    """
    tp, fp = ranking.curve()
    step = ranking.step_of_cell
    middle_tp, middle_fp = (curve - np.diff(curve, prepend=0.0) / 2 for curve in (tp, fp))
    return np.where(labels == 1, 1 - middle_fp[step] / fp[-1], middle_tp[step] / tp[-1])


def ranking_influence(cells: PatientCells) -> dict[str, np.ndarray]:
    """Returns the cells' values for `PatientCells.pulls`, each (N,), by the name of the metric of scores.

    AUC and average precision only where both classes have cells. A cell's value for AUC is its placement: the fraction of the other
    class that it outscores, ties counting one half, for an uninfected cell the fraction that outscores it.
    """
    fraction = np.where(cells.labels == 1, cells.prevalence, 1 - cells.prevalence)
    losses = zip(("log_loss", "brier"), cell_losses(cells.labels, cells.scores), strict=True)
    values = {name: fraction * loss for name, loss in losses}
    if not 0 < cells.prevalence < 1:
        return values
    ranking = Ranking(cells.labels, cells.scores)
    tp, fp = ranking.curve()
    step, positive = ranking.step_of_cell, cells.labels == 1
    values["auc"] = placements(ranking, cells.labels)
    # Average precision is sum_g tp_step tp / (tp + fp) over the steps g; a cell adds to tp or fp of its own step and of all below.
    predicted, tp_step = tp + fp, np.diff(tp, prepend=0.0)
    up, down = (np.cumsum((tp_step * kind / predicted**2)[::-1])[::-1] for kind in (fp, tp))
    values["average_precision"] = np.where(positive, (tp / predicted + up)[step], -down[step] * fp[-1] / tp[-1])
    return values


def rate_pulls(cells: PatientCells, threshold: float) -> dict[str, list[Pull]]:
    """Returns the pulls on each rate at a threshold; with one class only on the rates that say something.

    Rates are functions of sensitivity s and specificity c at the prevalence; a patient deviates by its own s or c.
    """
    predicted = (cells.scores >= threshold).astype(np.float64)
    own = {1: cells.means(predicted, 1), 0: cells.means(1 - predicted, 0)}
    number = {1: cells.parasitized, 0: cells.uninfected}
    rate = {label: float((number[label] * own[label]).sum() / max(number[label].sum(), 1)) for label in (1, 0)}

    def pull(name: str, label: int, derivative: float) -> Pull:
        deviations = np.where(number[label] > 0, own[label] - rate[label], 0.0)
        within = derivative**2 * number[label] * own[label] * (1 - own[label]) if name in FRACTIONS else None
        return Pull(number[label], derivative * deviations, within)

    one_class = {1: "sensitivity", 0: "specificity"}
    found = {name: [pull(name, label, 1.0)] for label, name in one_class.items() if number[label].any()}
    if len(found) == 1:
        return found | {"accuracy": next(iter(found.values()))}
    slopes = _slopes(rate[1], rate[0], cells.prevalence)
    return {name: [pull(name, 1, by_s), pull(name, 0, by_c)] for name, (by_s, by_c) in slopes.items()} | found


def _slopes(s: float, c: float, prevalence: float) -> dict[str, tuple[float, float]]:
    """Returns the derivatives of every rate by sensitivity and by specificity, by central differences; without undefined ones."""
    by_s, by_c = np.array([1, -1, 0, 0]) * STEP + s, np.array([0, 0, 1, -1]) * STEP + c
    p, n = prevalence, 1 - prevalence
    with np.errstate(invalid="ignore"):
        found = rates(Counts(p * by_s, n * (1 - by_c), n * by_c, p * (1 - by_s)))
    slopes = {name: ((value[0] - value[1]) / (2 * STEP), (value[2] - value[3]) / (2 * STEP)) for name, value in found.items()}
    return {name: (float(of_s), float(of_c)) for name, (of_s, of_c) in slopes.items() if np.isfinite(of_s + of_c)}
