"""Limit of blank and limit of detection of a patient's fraction of parasitized cells.

Armbruster and Pry 2008 (Clinical Biochemist Reviews 29 Suppl 1, S49, https://pmc.ncbi.nlm.nih.gov/articles/PMC2556583), after CLSI EP17:
the limit of blank is what 95 % of blank samples stay below, mean + 1.645 SD; the limit of detection is the smallest amount of which 95 %
of samples lie above the limit of blank. Blanks are the healthy patients. Their fractions are skewed, so mean and SD are those of square
roots. Too few patients have few parasites to see which of them lie above that, so this is computed: sensitivity and false alarms of patients are
beta distributed with the mean and variance that they have in all patients, and what is found among a patient's cells is beta binomial.
"""

from bisect import bisect_left
from typing import Any

import numpy as np
from scipy import special

from malaria_exp.evaluation.intervals.interval_interface import make_cell
from malaria_exp.evaluation.patient_level.agreement import normal_percentile
from malaria_exp.evaluation.patient_level.patient_counts import PatientCounts

# Of healthy patients that stay below the limit of blank, and of patients at the limit of detection that lie above it.
CERTAIN = 0.95
# The rates among what a limit of detection is computed from; the others are the limit of blank and variances.
RATES = (1, 3)


def detection_limits(counts: PatientCounts, confidence: float) -> dict[str, Any]:
    """Returns both limits, as fractions of a patient's cells.

    Args:
        counts: of the patients.
        confidence: of the intervals, in (0, 1).

    Returns:
        {"limit_of_blank": cell, of the predicted fraction; "limit_of_detection": cell, of the true fraction, for a patient with "cells" cells
         (the harmonic mean over patients); "above": {"infected", "healthy"}, numbers of these patients above the limit of blank}
        with cell as in `IntervalMethod`, undefined from fewer than two healthy or infected patients.
    """
    healthy = counts.predicted[~counts.infected]
    blank, low, high = normal_percentile(np.sqrt(healthy), CERTAIN, confidence)
    limits = None if np.isnan(low) else (max(low, 0.0) ** 2, min(high, 1.0) ** 2)
    cells = round(1 / np.mean(1 / counts.cells))
    value, interval = _limit_of_detection(counts, blank**2, cells, confidence)
    above = counts.predicted > blank**2
    return {
        "limit_of_blank": make_cell(blank**2, limits, len(healthy) or None),
        "limit_of_detection": make_cell(value, interval, len(counts.names)),
        "cells": cells,
        "above": {"infected": int((above & counts.infected).sum()), "healthy": int((above & ~counts.infected).sum())},
    }


def _limit_of_detection(counts: PatientCounts, blank: float, cells: int, confidence: float) -> tuple[float, tuple[float, float] | None]:
    """Returns the limit of detection and its interval, on the log scale by an infinitesimal jackknife over healthy and infected patients."""
    everyone = [counts.sensitivity(of_others=False), counts.specificity(of_others=False)]
    at = np.array([blank, *(float(value) for spread in everyone for value in (spread.rate, spread.between))])
    if not np.isfinite(at).all() or at[1] + at[3] <= 1:
        return np.nan, None
    value = _detectable(at, cells)
    infected, healthy = counts.infected, ~counts.infected
    if value >= 1 or min(infected.sum(), healthy.sum()) < 3:
        return value, None
    roots = np.sqrt(counts.predicted[healthy])
    blanks = np.full(len(infected), blank)
    blanks[healthy] = [_blank(np.delete(roots, place)) for place in range(len(roots))]
    others = [counts.sensitivity(of_others=True), counts.specificity(of_others=True)]
    moved = np.stack([blanks, *(column for spread in others for column in (spread.rate, spread.between))]) - at[:, None]
    # The slope over as much as a quantity is uncertain by, for whole cells make steps.
    sizes = np.sqrt(np.square(moved).sum(axis=1))
    slopes = np.zeros(len(at))
    for place in np.flatnonzero(sizes > 0):
        up, down = at.copy(), at.copy()
        up[place], down[place] = at[place] + sizes[place], max(at[place] - sizes[place], 0.0)
        if place in RATES:
            up[place] = min(up[place], 1.0)
        slopes[place] = np.log(_detectable(up, cells) / _detectable(down, cells)) / (up[place] - down[place])
    pulls = slopes @ moved
    variance = sum((kind.sum() - 1) / kind.sum() * np.square(pulls[kind] - pulls[kind].mean()).sum() for kind in (infected, healthy))
    df = min(infected.sum(), healthy.sum()) - 1
    reach = special.stdtrit(df, (1 + confidence) / 2) * np.sqrt(variance)
    return value, (value * float(np.exp(-reach)), float(min(value * np.exp(reach), 1.0)))


def _detectable(at: np.ndarray, cells: int) -> float:
    """Returns the smallest fraction at which 95 % of patients lie above the limit of blank; 1 if there is none.

    Args:
        at: the limit of blank, and rate and variance between patients of sensitivity and specificity, (5,).
        cells: of a patient.
    """
    blank, s, between_s, c, between_c = at
    # Between two whole cells, between their probabilities; without these steps slopes can be taken.
    lower, weight = divmod(blank * cells - 0.5, 1)

    def above(parasitized: int) -> float:
        found = _beta_binomial(parasitized, s, between_s)
        alarms = np.cumsum(_beta_binomial(cells - parasitized, 1 - c, between_c))
        missed = []
        for most in (int(lower), int(lower) + 1):
            places = np.arange(min(parasitized, most) + 1)
            missed.append(float(found[places] @ alarms[np.minimum(most - places, len(alarms) - 1)]))
        return 1 - (1 - weight) * missed[0] - weight * missed[1]

    number = bisect_left(range(cells + 1), CERTAIN, key=above)
    if number > cells:
        return 1.0
    if number == 0:
        return 1 / cells
    before, here = above(number - 1), above(number)
    return (number - 1 + (CERTAIN - before) / (here - before)) / cells


def _beta_binomial(cells: int, rate: float, between: float) -> np.ndarray:
    """Returns the probability of each number of hits among a patient's cells, (cells + 1,), if rates are beta distributed over patients."""
    rate = float(np.clip(rate, 1e-6, 1 - 1e-6))
    alike = np.clip(rate * (1 - rate) / max(between, 1e-12) - 1, 1e-3, 1e6)
    hits = np.arange(cells + 1)
    ways = -special.betaln(hits + 1, cells - hits + 1) - np.log(cells + 1)
    return np.exp(
        ways + special.betaln(hits + alike * rate, cells - hits + alike * (1 - rate)) - special.betaln(alike * rate, alike * (1 - rate))
    )


def _blank(roots: np.ndarray) -> float:
    """Returns the limit of blank from the square roots of the healthy patients' fractions."""
    return float(roots.mean() + special.ndtri(CERTAIN) * roots.std(ddof=1)) ** 2
