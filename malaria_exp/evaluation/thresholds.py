"""Thresholds: chosen once, on validation patients, then frozen; and how likely each keeps what it promises on new patients."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from malaria_exp.config.validation import Pattern, Probability
from malaria_exp.data.cell_table import CLASS_NAMES, UNKNOWN
from malaria_exp.evaluation.metrics import Ranking

HALF = 0.5
# Of the resampled validation patients by which a chance is estimated, and of those that a rule resamples itself.
MOST_RESAMPLES = 200
# Candidates among which the chance is estimated; the threshold itself is chosen among all scores, or so many of them that lie evenly over the
# cells.
CANDIDATES, MOST_CANDIDATES = 512, 10_000

# How the rule of a threshold begins that could not be chosen.
NOT_CHOSEN = f"{HALF:g}, as"
# Names are keys of metrics.json and parts of the plots' file names.
ThresholdName = Annotated[str, Pattern(r"[A-Za-z_]\w{0,59}", "letters, digits and underscores")]


class Rates(NamedTuple):
    """Sensitivity and specificity, of one threshold or of any array of them; nan without a cell of the class."""

    sensitivity: Any
    specificity: Any


# From the rates of R sets of patients at G candidates, from the highest candidate down, (R, G), to the index of the chosen one, (R,).
Pick = Callable[[Rates], np.ndarray]
# From the rates on new patients, at the threshold and at 0.5, to whether the promise was kept; None where nothing can be said.
Kept = Callable[[Rates, Rates], bool | None]


@dataclass(frozen=True)
class Threshold:
    """A threshold as it stands in metrics.json.

    Attributes:
        value: a cell is predicted parasitized if its score is at least this, in [0, 1].
        rule: in words, how it was chosen.
        promise: in words, what it is to reach on new patients; None if nothing.
        chance: fraction of resampled validation patients on whose left-out patients the promise was kept; None if it is not known.
    """

    value: Probability
    rule: str
    promise: str | None = None
    chance: Probability | None = None


@dataclass(frozen=True)
class ThresholdRule:
    """How a threshold is chosen: what the options of the group `threshold` build, unless it is a `Threshold` that is given.

    Attributes:
        words: the rule in words, for the report.
        pick: chooses among candidates.
        promise: in words, what the threshold is to reach on new patients.
        kept: whether it did.
        assurance: fraction of resampled validation patients on which `pick` is satisfied; None for the validation patients as they are.
        needs: the classes without whose cells nothing can be chosen.
        cautious: the end of the resampled thresholds that satisfies more of them: "low" or "high".
    """

    words: str
    pick: Pick
    promise: str
    kept: Kept
    assurance: float | None = None
    cautious: Literal["low", "high"] = "low"
    needs: tuple[str, ...] = CLASS_NAMES


def choose_thresholds(
    rules: Mapping[str, ThresholdRule], labels: np.ndarray, scores: np.ndarray, patients: np.ndarray, *, resamples: int, seed: int
) -> dict[str, Threshold]:
    """Chooses a threshold by each rule.

    Args:
        rules: by name.
        labels: (N,), 1 = parasitized, 0 = uninfected; of validation cells, never of test cells.
        scores: (N,), probability of parasitized, in [0, 1].
        patients: (N,), the patient of each cell.
        resamples: of the validation patients, for rules with an assurance and for the chances; more than 200 are not drawn.
        seed: of the draws.

    Returns:
        The thresholds in the order of the rules. Without a cell of a class that a rule needs its threshold is
        0.5, and the words of its rule say so.
    """
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    names, number = np.unique(np.asarray(patients), return_inverse=True)
    resamples = min(resamples, MOST_RESAMPLES) if len(names) > 1 and UNKNOWN not in names else 0
    curves = _Curves(labels, scores, number, len(names))
    chosen = {}
    # Threads of BLAS make these many small products twenty times slower.
    with threadpool_limits(1, user_api="blas"):
        for name, rule in rules.items():
            if missing := next((name for name in rule.needs if not curves.has(name)), None):
                chosen[name] = Threshold(HALF, f"{NOT_CHOSEN} the validation patients have no {missing} cell")
            else:
                rng = np.random.default_rng([seed, len(chosen)])
                value = curves.choose(rule, np.ones(len(names)), resamples, rng)
                chance = curves.thinned().chance(rule, resamples, rng)
                chosen[name] = Threshold(value, rule.words, rule.promise, chance)
    return chosen


class _Curves:
    """The cells of each patient at every candidate, so that the rates of any weighting of the patients are one matrix product."""

    def __init__(self, labels: np.ndarray, scores: np.ndarray, number: np.ndarray, patients: int) -> None:
        ranking = Ranking(labels, scores)
        kept = _evenly(len(ranking.thresholds), MOST_CANDIDATES)
        self.candidates = ranking.thresholds[kept]
        # Of each cell the highest candidate at which it is predicted parasitized.
        first = np.searchsorted(kept, ranking.step_of_cell)
        own = [np.bincount((number * len(kept) + first)[labels == label], minlength=patients * len(kept)) for label in (1, 0)]
        self.tp, self.fp = (counts.reshape(patients, -1).cumsum(axis=1).astype(np.float64) for counts in own)
        if self.candidates[0] < 1:
            # One more, at which no cell is predicted parasitized.
            self.candidates = np.append(np.nextafter(self.candidates[0], 2.0), self.candidates)
            self.tp, self.fp = (np.pad(curve, ((0, 0), (1, 0))) for curve in (self.tp, self.fp))

    def has(self, name: str, weights: np.ndarray | None = None) -> bool:
        """Tells whether patients of these weights, (K,), or all have a cell of the class."""
        cells = (self.fp, self.tp)[CLASS_NAMES.index(name)][:, -1]
        return bool((cells if weights is None else weights * cells).any())

    def thinned(self) -> "_Curves":
        """Returns the curves at CANDIDATES of the candidates, spread evenly over the cells."""
        thin = object.__new__(_Curves)
        keep = _evenly(len(self.candidates), CANDIDATES)
        thin.candidates, thin.tp, thin.fp = self.candidates[keep], self.tp[:, keep], self.fp[:, keep]
        return thin

    def rates(self, weights: np.ndarray) -> Rates:
        """Returns the rates, each (R, G), of patients with weights (R, K)."""
        tp, fp = weights @ self.tp, weights @ self.fp
        with np.errstate(invalid="ignore", divide="ignore"):
            return Rates(tp / tp[:, -1:], (fp[:, -1:] - fp) / fp[:, -1:])

    def choose(self, rule: ThresholdRule, weights: np.ndarray, resamples: int, rng: np.random.Generator) -> float:
        """Returns the threshold that the rule chooses for patients of these weights, (K,)."""
        if rule.assurance is None or not resamples:
            sets = weights[None]
        else:
            sets = rng.multinomial(int(weights.sum()), weights / weights.sum(), size=resamples).astype(float)
        rates = self.rates(sets)
        defined = np.all([np.isfinite(rates[1 - CLASS_NAMES.index(name)][:, -1]) for name in rule.needs], axis=0)
        if not defined.any():
            return HALF
        values = self.candidates[rule.pick(Rates(*(rate[defined] for rate in rates)))]
        if rule.assurance is None or not resamples:
            return float(values[0])
        fraction = 1 - rule.assurance if rule.cautious == "low" else rule.assurance
        return float(np.quantile(values, fraction, method="inverted_cdf" if rule.cautious == "high" else "lower"))

    def chance(self, rule: ThresholdRule, resamples: int, rng: np.random.Generator) -> float | None:
        """Returns how often a threshold chosen on resampled patients keeps its promise on those that were not drawn (out of bag)."""
        kept = []
        patients = len(self.tp)
        half = int(np.searchsorted(-self.candidates, -HALF, side="right")) - 1
        for weights in rng.multinomial(patients, np.full(patients, 1 / patients), size=resamples).astype(float):
            if not all(self.has(name, weights) for name in rule.needs):
                continue
            value = self.choose(rule, weights, resamples, rng)
            place = int(np.searchsorted(-self.candidates, -value, side="right")) - 1
            left_out = self.rates((weights == 0)[None].astype(float))
            at, at_half = (Rates(*(float(rate[0, index]) for rate in left_out)) for index in (place, half))
            if (found := rule.kept(at, at_half)) is not None:
                kept.append(found)
        return float(np.mean(kept)) if kept else None


def _evenly(count: int, most: int) -> np.ndarray:
    """Returns indices below `count`, ascending, the first and the last among them: all, or `most` at equal distances."""
    return np.arange(count) if count <= most else np.unique(np.linspace(0, count - 1, most).astype(int))


def reached(rate: float, target: float) -> bool | None:
    """Returns whether a rate is at least its target; None of a rate that is undefined."""
    return bool(rate >= target) if np.isfinite(rate) else None


def not_above(loss: float, other: float) -> bool | None:
    """Returns whether a loss is at most another one; None if one of them is undefined."""
    return bool(loss <= other + 1e-12) if np.isfinite(loss) and np.isfinite(other) else None
