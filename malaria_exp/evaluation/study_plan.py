"""How many patients a study needs, from how much the patients of a finished run differ.

A rate of m patients with n cells each has the variance (between + within / n) / m: cells of one patient resemble each other, so more of them help
little (the design effect 1 + (n - 1) rho of Kish 1965, rho = between / (between + within)). Both variances are estimated from the run by analysis
of variance with unequal sizes (Searle, Casella and McCulloch 1992, Variance Components, section 3.6), of AUC from the placements of its cells
(Obuchowski 1997, https://doi.org/10.2307/2533958). Intervals are those of `interval=clustered`; a difference of two models on the same patients is
found by a t test over patients.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from malaria_exp.evaluation.intervals.clustered_variance import Spread
from malaria_exp.evaluation.intervals.influence import placements
from malaria_exp.evaluation.intervals.limits import LOGIT, rate_limits, scale_limits
from malaria_exp.evaluation.metrics import Ranking
from malaria_exp.evaluation.predictions import Predictions

METRICS = ("sensitivity", "specificity", "auc")
# Of patients with cells of a class, from which on it is said how much they differ.
FEWEST = 5
MOST = 100_000
# Whom a study of a metric takes; {} is the number of cells of each kind.
WHO = {
    "sensitivity": "infected patients with {} parasitized cells each",
    "specificity": "patients with {} uninfected cells each",
    "auc": "infected patients with {} parasitized and {} uninfected cells each",
}


@dataclass(frozen=True)
class Part:
    """How values of cells of one class vary.

    Attributes:
        between: variance between patients of a patient's own mean.
        within: variance of one cell around it.
        patients: who have such cells.
    """

    between: float
    within: float
    patients: int


@dataclass(frozen=True)
class Measured:
    """What a run tells about a metric.

    Attributes:
        metric: one of METRICS.
        value: of the run's cells, or of a difference of two runs.
        parts: of the classes that the metric rests on.
        common: covariance between patients of their means in both classes; 0 with one class.
    """

    metric: str
    value: float
    parts: tuple[Part, ...]
    common: float = 0.0

    def variance(self, cells: int) -> float:
        """Returns the variance that one patient with so many cells of each class contributes; divided by patients it is that of the metric."""
        return sum(part.between + part.within / cells for part in self.parts) + 2 * self.common

    def design_effect(self, cells: int) -> float:
        """Returns how many times as many cells are needed as if all came from different patients."""
        return self.variance(cells) * cells / self.variance(1)


def measure(cells: Predictions, predicted: np.ndarray, other: tuple[np.ndarray, np.ndarray] | None = None) -> dict[str, Measured | str]:
    """Returns what a run's cells tell about each of METRICS, or why nothing.

    Args:
        cells: of one subset, with known patients.
        predicted: bool (N,), predicted parasitized.
        other: scores and predictions of another model for the same cells, each (N,): the differences are measured.
    """
    positive = cells.label == 1
    found: dict[str, Measured | str] = {}
    for metric, chosen in (("sensitivity", positive), ("specificity", ~positive)):
        right = (predicted == positive).astype(np.float64) - (0 if other is None else other[1] == positive)
        found[metric] = _measured(metric, [(right[chosen], cells.patient[chosen])])
    if not 0 < positive.sum() < len(positive):
        return found | {"auc": "it takes cells of both classes"}
    placed = placements(Ranking(cells.label, cells.score), cells.label)
    if other is not None:
        placed = placed - placements(Ranking(cells.label, other[0]), cells.label)
    kinds = [(placed[chosen], cells.patient[chosen]) for chosen in (positive, ~positive)]
    return found | {"auc": _measured("auc", kinds)}


def _measured(metric: str, kinds: Sequence[tuple[np.ndarray, np.ndarray]]) -> Measured | str:
    parts, means = [], []
    for values, patients in kinds:
        names, number, cells = np.unique(patients, return_inverse=True, return_counts=True)
        if len(names) < FEWEST:
            return f"{len(names)} patients have cells for it, {FEWEST} are needed to say how much patients differ"
        own = np.bincount(number, values) / cells
        means.append(dict(zip(names.tolist(), own - values.mean(), strict=True)))
        parts.append(_part(values, own, number, cells))
    shared = [means[0][name] * means[1][name] for name in means[0] if name in means[1]] if len(means) == 2 else []
    common = float(np.mean(shared)) if shared else 0.0
    measured = Measured(metric, float(kinds[0][0].mean()), tuple(parts), common)
    if measured.variance(MOST) <= 0:
        measured = Measured(metric, measured.value, measured.parts)
    return measured if measured.variance(1) > 0 else "there is no error among these cells, so nothing tells how much patients differ"


def _part(values: np.ndarray, own: np.ndarray, number: np.ndarray, cells: np.ndarray) -> Part:
    total, patients = cells.sum(), len(cells)
    within = float(np.square(values - own[number]).sum() / max(total - patients, 1))
    size = (total - np.square(cells).sum() / total) / (patients - 1)
    spread = float((cells * np.square(own - values.mean())).sum() / (patients - 1))
    return Part(max((spread - within) / size, 0.0), within, patients)


def expected_width(measured: Measured, patients: int, cells: int, confidence: float) -> float:
    """Returns how wide the interval of a study will be.

    Args:
        measured: what a run tells about the metric.
        patients: of the study, at least 2.
        cells: of each class and patient.
        confidence: of the interval, in (0, 1).
    """
    spread = Spread(np.array(measured.variance(cells) / patients), np.array(patients - 1.0), np.array(float(patients)))
    if measured.metric == "auc":
        limits = scale_limits(measured.value, spread, LOGIT, confidence)
        return limits[1] - limits[0] if limits else 1.0
    low, high = rate_limits(measured.value, spread, patients * cells, confidence)
    return float(high - low)


def patients_for_width(measured: Measured, width: float, cells: int, confidence: float) -> int | None:
    """Returns the fewest patients with which an interval is as narrow as that; None above MOST."""
    return _fewest(lambda patients: expected_width(measured, patients, cells, confidence) <= width)


def patients_for_difference(measured: Measured, difference: float, cells: int, power: float, confidence: float) -> int | None:
    """Returns the fewest patients with which a difference is found; None above MOST.

    Args:
        measured: of the difference of two models, see `measure`.
        difference: true difference of the metric, above 0.
        cells: of each class and patient.
        power: probability of finding it, in (0, 1).
        confidence: 1 minus the level of the test, in (0, 1).
    """

    def enough(patients: int) -> bool:
        reach = special.stdtrit(patients - 1, (1 + confidence) / 2)
        shift = difference / np.sqrt(measured.variance(cells) / patients)
        # Of a noncentral t variable; the other tail is nothing.
        return bool(1 - special.nctdtr(patients - 1, shift, reach) >= power)

    return _fewest(enough)


def independent_difference(measured: Measured) -> Measured:
    """Returns the variances of the difference of two models that err independently of each other: models that err on the same cells differ less."""
    parts = tuple(Part(2 * part.between, 2 * part.within, part.patients) for part in measured.parts)
    return Measured(measured.metric, measured.value, parts, 2 * measured.common)


def _fewest(enough: Callable[[int], bool]) -> int | None:
    """Returns the smallest number from 2 on that is enough, if all larger ones are."""
    high = 2
    while not enough(high):
        high *= 2
        if high > MOST:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
