"""How far a metric would differ on other patients: the two ways in which `paired_tests` judges a difference.

Both give of each seed a row of changes that is linear in the metric: the changes of a mean or a difference of metrics are the mean or the
difference of theirs.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from malaria_exp.evaluation.intervals.bootstrap import CHUNK, expanded_tail
from malaria_exp.evaluation.intervals.influence import placements
from malaria_exp.evaluation.metrics import METRICS, Counts, Ranking, cell_losses

# The benchmark goes down to nine; the bootstrap of fewer than five has too few different resamples to have tails.
FEWEST_PATIENTS = 5
# Differences below this are those of rounding.
TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Scored:
    """What a model of S seeds says of N cells.

    Attributes:
        score: float64 (S, N), probability of parasitized, in [0, 1].
        predicted: bool (S, N), whether the cell is predicted parasitized, at each seed's own threshold.
    """

    score: np.ndarray
    predicted: np.ndarray


@dataclass(frozen=True, eq=False)
class Seeds:
    """A metric of each seed, (S,), and what another sample of patients would change, (S, L); means and differences of both go together."""

    values: np.ndarray
    changes: np.ndarray


class Obuchowski:
    """AUC; the changes are the influences of K patients: K through their parasitized cells, then K through their uninfected ones."""

    def __init__(self, patient: np.ndarray, label: np.ndarray) -> None:
        self.n = len(np.unique(patient))
        self.kinds = [len(np.unique(patient[label == kind])) for kind in (1, 0)]

    def of_seeds(self, label: np.ndarray, patient: np.ndarray, scored: Scored) -> Seeds:
        """Returns the metric of each seed; patients are numbers from 0."""
        kinds = (label == 1, label == 0)
        if not all(kind.any() for kind in kinds):
            nothing = np.full((len(scored.score), 2 * self.n), np.nan)
            return Seeds(nothing[:, 0], nothing)
        placed = np.array([placements(Ranking(label, score), label) for score in scored.score])
        values = placed[:, kinds[0]].mean(axis=1)
        changes = [
            [np.bincount(patient[kind], (row[kind] - value) / kind.sum(), self.n) for kind in kinds]
            for row, value in zip(placed, values, strict=True)
        ]
        return Seeds(values, np.array(changes).reshape(len(placed), -1))

    def problem(self, change: np.ndarray, confidence: float) -> str:
        """Returns why there can be no interval, or nothing."""
        return "" if min(self.kinds) >= FEWEST_PATIENTS else f"one of the classes comes from fewer than {FEWEST_PATIENTS} patients"

    def variance(self, change: np.ndarray) -> float:
        """Returns the variance over samples of patients."""
        a, b = np.split(change, 2)
        factor_a, factor_b, factor = (k / (k - 1) for k in (*self.kinds, self.n))
        return float(factor_a * (a @ a) + factor_b * (b @ b) + 2 * factor * (a @ b))

    def statistic(self, value: float, change: np.ndarray, least: float) -> float:
        """Returns how far the value is above `least`, in standard errors, to be judged by Student's t."""
        return float((value - least) / np.sqrt(self.variance(change)))

    def ends(self, value: float, change: np.ndarray, confidence: float) -> tuple[float, float]:
        """Returns the ends of the interval over patients alone."""
        half = stats.t.isf((1 - confidence) / 2, self.n - 1) * np.sqrt(self.variance(change))
        return value - half, value + half


class Bootstrap:
    """Any metric; the changes are its values in the resamples of patients, nan where it is undefined."""

    def __init__(self, metric: str, n: float, drawn: np.ndarray) -> None:
        self.metric, self.n = metric, n
        # Before the resamples the patients themselves, each once.
        self.drawn = np.concatenate([np.ones((1, drawn.shape[1])), drawn])

    def of_seeds(self, label: np.ndarray, patient: np.ndarray, scored: Scored) -> Seeds:
        """Returns the metric of each seed; patients are numbers from 0."""
        values = np.array([self._values(label, patient, *seed) for seed in zip(scored.score, scored.predicted, strict=True)])
        return Seeds(values[:, 0], values[:, 1:])

    def _values(self, label: np.ndarray, patient: np.ndarray, score: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        def sums(*columns: np.ndarray) -> np.ndarray:
            return self.drawn @ np.array([np.bincount(patient, column, self.drawn.shape[1]) for column in columns]).T

        positive = label == 1
        if METRICS[self.metric].needs_threshold:
            kinds = sums(predicted & positive, predicted & ~positive, ~predicted & ~positive, ~predicted & positive)
            return np.asarray(getattr(Counts(*kinds.T), self.metric))
        if self.metric == "average_precision":
            return self._average_precision(Ranking(label, score), patient)
        losses, cells = sums(cell_losses(label, score)[("log_loss", "brier").index(self.metric)], np.ones(len(label))).T
        return np.divide(losses, cells, out=np.full(len(cells), np.nan), where=cells > 0)

    def _average_precision(self, ranking: Ranking, patient: np.ndarray) -> np.ndarray:
        place = (patient[ranking.order], ranking.step_of_cell[ranking.order])
        found, seen = np.zeros((2, self.drawn.shape[1], len(ranking.starts)))
        np.add.at(found, place, ranking.positive)
        np.add.at(seen, place, 1.0)
        # Precision counts at the steps that find something.
        steps = found.any(axis=0)
        tables = [table[:, steps] for table in (found, np.cumsum(found, axis=1), np.cumsum(seen, axis=1))]
        values = []
        for drawn in np.array_split(self.drawn, 1 + len(self.drawn) * len(ranking.starts) // CHUNK):
            here, hits, predicted = (drawn @ table for table in tables)
            precision = np.divide(hits, predicted, out=np.zeros_like(hits), where=predicted > 0)
            positives = here.sum(axis=1)
            values.append(np.divide((here * precision).sum(axis=1), positives, out=np.full(len(positives), np.nan), where=positives > 0))
        return np.concatenate(values)

    def problem(self, change: np.ndarray, confidence: float) -> str:
        """Returns why there can be no interval, or nothing."""
        if np.isfinite(change).mean() <= 0.5:
            return "undefined in most resamples"
        return "" if expanded_tail(self.n, confidence) * len(change) >= 1 else f"too few patients for an interval of {confidence:.4g}"

    def variance(self, change: np.ndarray) -> float:
        """Returns the variance over samples of patients."""
        return float(np.nanvar(change) * self.n / (self.n - 1))

    def statistic(self, value: float, change: np.ndarray, least: float) -> float:
        """Returns how far the value is above `least`, in standard errors, to be judged by Student's t."""
        drawn = change[np.isfinite(change)]
        # Sums in another order differ in the last digit.
        below = int(np.count_nonzero(drawn <= least + TINY))
        # One more resample stands for those that were not drawn.
        by_rank = float(stats.norm.isf(min(below + 1, len(drawn)) / (len(drawn) + 1)) * np.sqrt((self.n - 1) / self.n))
        # Farther out than any resample, their standard error is the only measure.
        return by_rank if below else max(by_rank, float((value - least) / np.sqrt(self.variance(change))))

    def ends(self, value: float, change: np.ndarray, confidence: float) -> tuple[float, float]:
        """Returns the ends of the interval over patients alone."""
        tail = expanded_tail(self.n, confidence)
        low, high = np.nanquantile(change, [tail, 1 - tail])
        return float(low), float(high)
