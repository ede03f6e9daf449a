"""Limits of agreement (Bland and Altman 1999, https://doi.org/10.1177/096228029900800204) of predicted and labeled fractions.

Each patient gives one pair, so patients are independent. Their differences have longer tails than normal ones, as some patients have few
cells: the interval of a limit is put together (MOVER; Zou 2013, https://doi.org/10.1177/0962280211402548) from that of the mean and that of the
SD which Bonett 2006 (https://doi.org/10.1016/j.csda.2004.10.003) gives by the kurtosis. benchmarks/patient_level.py compares it with the
exact interval of normal differences (Carkeet 2015, https://doi.org/10.1097/OPX.0000000000000513), which is far too narrow here.
"""

from typing import Any

import numpy as np
from scipy import special

from malaria_exp.evaluation.intervals.interval_interface import make_cell

# Standard deviations from the mean to either limit, between which 95 % of normal differences lie.
REACH = float(special.ndtri(0.975))
# Patients from which on the kurtosis can be estimated.
FEWEST = 5


def normal_percentile(values: np.ndarray, fraction: float, confidence: float) -> tuple[float, float, float]:
    """Returns a percentile of the normal distribution that the values come from, and its exact interval by a noncentral t distribution.

    Shieh 2018, https://doi.org/10.1186/s12874-018-0505-y.

    Args:
        values: (K,).
        fraction: of the distribution that lies below, in (0, 1).
        confidence: of the interval, in (0, 1).

    Returns:
        The percentile, nan from fewer than two values, and the limits, nan where values do not differ.
    """
    if len(values) < 2:
        return (np.nan,) * 3
    mean, sd, z = float(values.mean()), float(values.std(ddof=1)), float(special.ndtri(fraction))
    if sd <= 0:
        return mean, np.nan, np.nan
    root = np.sqrt(len(values))
    from scipy import stats  # imported late: it takes half a second

    low, high = stats.nct.ppf([(1 - confidence) / 2, (1 + confidence) / 2], len(values) - 1, z * root) / root
    return mean + z * sd, mean + float(low) * sd, mean + float(high) * sd


def agreement(differences: np.ndarray, confidence: float) -> dict[str, Any] | None:
    """Returns bias and limits of agreement.

    Args:
        differences: predicted less labeled fraction of each patient, (K,).
        confidence: of the intervals, in (0, 1).

    Returns:
        {"bias": cell, "sd": of the differences, "lower_limit": cell, "upper_limit": cell} with cell as in `IntervalMethod`; None from fewer
        than two patients. Limits have an interval from five patients on.
    """
    patients = len(differences)
    if patients < 2:
        return None
    bias, sd = float(differences.mean()), float(differences.std(ddof=1))
    half = float(special.stdtrit(patients - 1, (1 + confidence) / 2)) * sd / np.sqrt(patients)
    found: dict[str, Any] = {"bias": make_cell(bias, (bias - half, bias + half) if sd > 0 else None, patients), "sd": sd}
    smallest, largest = _sd_limits(differences, confidence) if patients >= FEWEST and sd > 0 else (np.nan, np.nan)
    for name, side in (("lower_limit", -1), ("upper_limit", 1)):
        value = bias + side * REACH * sd
        ends = sorted((value - side * np.hypot(half, REACH * (sd - smallest)), value + side * np.hypot(half, REACH * (largest - sd))))
        found[name] = make_cell(value, (float(ends[0]), float(ends[1])) if np.isfinite(ends[0]) else None, patients)
    return found


def _sd_limits(values: np.ndarray, confidence: float) -> tuple[float, float]:
    """Returns the limits of the standard deviation of values of any distribution, with t in place of Bonett's normal quantile."""
    n = len(values)
    from scipy import stats  # see normal_percentile

    z, t = special.ndtri((1 + confidence) / 2), special.stdtrit(n - 1, (1 + confidence) / 2)
    middle = stats.trim_mean(values, min(0.5 / np.sqrt(n - 4), 0.49))
    kurtosis = n * ((values - middle) ** 4).sum() / np.square(np.square(values - values.mean()).sum())
    factor = n / max(n - z, 1.0)
    error = factor * np.sqrt(max(kurtosis - (n - 3) / n, 0) / (n - 1))
    low, high = np.sqrt(factor * values.var(ddof=1) * np.exp(np.array([-t, t]) * error))
    return min(float(low), float(values.std(ddof=1))), float(high)
