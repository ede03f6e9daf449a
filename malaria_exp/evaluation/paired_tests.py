"""Tests of two models on the same cells, with patients as the unit.

Tests over cells (McNemar, DeLong) take a patient's cells for independent, and find differences where there are none:
`benchmarks/paired_tests.py` shows how often. Here the difference is tested

- of AUC with the variance of clustered ROC curves (Obuchowski 1997, Biometrics 53:567-578) and t of K - 1 degrees of freedom for K patients;
  with one cell a patient that is the variance of DeLong et al. 1988;
- of every other metric by the expanded percentile bootstrap over patients (Hesterberg 2015, The American Statistician 69:371-386): the ends
  are the quantiles at norm.cdf(-sqrt(n / (n - 1)) t), with t of n - 1 degrees of freedom. n is the effective number of patients by their
  cells (Kish 1965), at most the number of those who have cells for the metric. p is where an interval of the level 1 - p would end at 0;
  where all resamples lie on one side of 0, it is that of their standard error and t.

The result of a model with several seeds is the mean over them. Its variance is that between patients, and that between seeds divided by
their number. Some seeds do better on some patients: this is in the variance between patients already, and is subtracted from that
between seeds. Degrees of freedom are then those of Satterthwaite (1946, Biometrics Bulletin 2:110-114).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from malaria_exp.data.cell_table import UNKNOWN
from malaria_exp.evaluation.intervals.bootstrap import multiplicities
from malaria_exp.evaluation.intervals.clustered_variance import effective_patients
from malaria_exp.evaluation.intervals.interval_interface import PATIENTS_UNKNOWN
from malaria_exp.evaluation.metrics import METRICS
from malaria_exp.evaluation.paired_spread import FEWEST_PATIENTS, TINY, Bootstrap, Obuchowski, Scored, Seeds

RESAMPLES = 10_000


@dataclass(frozen=True, eq=False)
class PairedCells:
    """Cells that two models scored.

    Attributes:
        label: (N,), 1 = parasitized, 0 = uninfected.
        patient: (N,), str.
        model: the one that is judged.
        reference: the one that it is compared with.
    """

    label: np.ndarray
    patient: np.ndarray
    model: Scored
    reference: Scored


@dataclass(frozen=True)
class Difference:
    """A metric of two models, and how sure the difference is.

    Attributes:
        metric: a name of METRICS.
        model: its value, the mean over seeds; None if it is undefined.
        reference: the same of the reference.
        value: model minus reference.
        patients: those with cells for this metric.
        cells: all that both models scored.
        low: lower end of the interval of the difference; None without an interval.
        high: its upper end.
        p: two-sided, that the difference is 0; None without an interval.
        p_margin: one-sided, that the model is worse by the margin or more; None without a margin.
        reason: why there is no interval; empty with one.
        p_holm: p after Holm's correction for all tests made together.
        p_margin_holm: p_margin after Holm's correction.
    """

    metric: str
    model: float | None
    reference: float | None
    value: float | None
    patients: int
    cells: int
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_margin: float | None = None
    reason: str = ""
    p_holm: float | None = None
    p_margin_holm: float | None = None


def compare_models(
    cells: Sequence[PairedCells],
    metric: str,
    *,
    confidence: float = 0.95,
    margin: float | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Difference:
    """Compares two models by one metric.

    Args:
        cells: one set of cells, or several of repeated splits: the differences on each are averaged, and a patient who is in several
            is drawn in all of them together.
        metric: a name of METRICS.
        confidence: of the interval, in (0, 1).
        margin: how much worse the model may be, in the metric's unit, above 0; None for no test of that.
        seed: of the draws. Exchanging model and reference negates the difference and leaves p as it is.
        resamples: of the bootstrap.
    """
    names, index = np.unique(np.concatenate([one.patient for one in cells]), return_inverse=True)
    patients = np.split(index, np.cumsum([len(one.label) for one in cells])[:-1])
    label = np.concatenate([one.label for one in cells])
    n = len(np.unique(np.concatenate([own[_carries(metric, one)] for one, own in zip(cells, patients, strict=True)])))
    if metric == "auc":
        spread: Obuchowski | Bootstrap = Obuchowski(index, label)
    else:
        effective = float(effective_patients(np.bincount(index)))
        spread = Bootstrap(metric, min(n, effective), multiplicities(len(names), resamples, seed))
    pairs = [
        (spread.of_seeds(one.label, own, one.model), spread.of_seeds(one.label, own, one.reference))
        for one, own in zip(cells, patients, strict=True)
    ]
    model, reference = (float(np.mean([pair[side].values.mean() for pair in pairs])) for side in (0, 1))
    value = model - reference
    known = [None if np.isnan(number) else number for number in (model, reference, value)]
    found = Difference(metric, known[0], known[1], known[2], n, len(label))
    change = np.mean([pair[0].changes.mean(axis=0) - pair[1].changes.mean(axis=0) for pair in pairs], axis=0)
    if UNKNOWN in names:
        return replace(found, reason=PATIENTS_UNKNOWN)
    if np.isnan(value):
        return replace(found, reason="undefined on these cells")
    if n < FEWEST_PATIENTS:
        return replace(found, reason=f"{n} patient{'s' if n > 1 else ''} with cells for it; a test needs {FEWEST_PATIENTS}")
    if reason := spread.problem(change, confidence):
        return replace(found, reason=reason)
    variance = spread.variance(change)
    if variance < TINY**2:
        # Equal models; others leave nothing to judge by.
        return replace(found, low=0.0, high=0.0, p=1.0) if abs(value) < TINY else replace(found, reason="the same for every patient")
    extra, freedom = _between_seeds(pairs, spread)
    df = (variance + extra) ** 2 / (variance**2 / (spread.n - 1) + freedom)
    wider = np.sqrt(1 + extra / variance)
    # The interval over patients, made wider on each side by what the seeds add.
    stretch = wider * stats.t.isf((1 - confidence) / 2, df) / stats.t.isf((1 - confidence) / 2, spread.n - 1)
    low, high = (float(value + (end - value) * stretch) for end in spread.ends(value, change, confidence))

    def p_above(sign: int, least: float) -> float:
        """Returns the one-sided p against a difference above `least`, of the negated difference for the sign -1."""
        return float(stats.t.sf(spread.statistic(sign * value, sign * change, least) / wider, df))

    p = min(1.0, 2 * min(p_above(1, 0.0), p_above(-1, 0.0)))
    better = 1 if METRICS[metric].direction == "max" else -1
    return replace(found, low=low, high=high, p=p, p_margin=None if margin is None else p_above(better, -margin))


def _carries(metric: str, cells: PairedCells) -> np.ndarray:
    """Returns which cells say something about a metric, bool (N,)."""
    predicted = np.concatenate([cells.model.predicted, cells.reference.predicted])
    own = {
        "sensitivity": cells.label == 1,
        "specificity": cells.label == 0,
        "ppv": predicted.any(axis=0),
        "npv": ~predicted.all(axis=0),
    }
    return own.get(metric, np.ones(len(cells.label), dtype=bool))


def _between_seeds(pairs: Sequence[tuple[Seeds, Seeds]], spread: Obuchowski | Bootstrap) -> tuple[float, float]:
    """Returns the variance that the seeds add to the difference, and that variance squared over its degrees of freedom."""
    if len(pairs) > 1:
        differences = [
            (model.values.mean() - reference.values.mean(), model.changes.mean(axis=0) - reference.changes.mean(axis=0))
            for model, reference in pairs
        ]
        groups: Sequence[Seeds] = [Seeds(*map(np.array, zip(*differences, strict=True)))]
    else:
        groups = pairs[0]
    extra = freedom = 0.0
    for group in groups:
        seeds = len(group.values)
        if seeds > 1:
            mean = group.changes.mean(axis=0)
            by_patients = sum(spread.variance(change - mean) for change in group.changes) / (seeds - 1)
            own = max(0.0, float(np.var(group.values, ddof=1)) - by_patients) / seeds
            extra, freedom = extra + own, freedom + own**2 / (seeds - 1)
    return extra, freedom
