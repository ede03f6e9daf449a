"""The variance of a metric over patients, and how much that variance itself is worth.

A metric of cells is a smooth function of the mean of something over the parasitized cells and of the mean of something over the uninfected
ones: of hits (sensitivity), of placements (AUC; Obuchowski 1997, https://doi.org/10.2307/2533958), of losses. In each class a patient
weighs by its number of cells, a_i, and pulls the metric away by a_i times its deviation d_i. Two estimates of the variance:

- robust: the sum of squares of these pulls, each raised by its leverage, 1 / (1 - a_i) (CR2; Bell and McCaffrey 2002, Survey
  Methodology 28, 169-181). It assumes nothing about the patients, but where few of them hold most cells it is often far too small.
- common: one spread for all patients, estimated from all of them, times the sum of a_i^2. It is steadier, but wrong where patients with
  many cells differ more than others.

The larger one counts, with its own degrees of freedom (Satterthwaite 1946, https://doi.org/10.2307/3002019).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True)
class Pull:
    """What the patients' cells of one class do to a metric; all arrays (..., K) for K patients.

    Attributes:
        cells: the weight of each patient: its number of cells of this class, 0 if it has none.
        deviations: the metric's derivative by the mean of the class, times the patient's deviation from that mean; 0 without cells.
        within: sum of squares of the cells' values around their patient's mean, in units of `deviations`. With it the common spread
            is one between patients plus one of cells (analysis of variance). None: patients' means have one spread, whatever their number
            of cells.
    """

    cells: np.ndarray
    deviations: np.ndarray
    within: np.ndarray | None = None


class Spread(NamedTuple):
    """The variance of a metric (...,), its degrees of freedom (...,), and the effective number of patients (...,)."""

    variance: np.ndarray
    df: np.ndarray
    patients: np.ndarray


class _Parts(NamedTuple):
    raised: np.ndarray
    common: np.ndarray
    df_common: np.ndarray
    df_robust: np.ndarray
    patients: np.ndarray


def effective_patients(cells: np.ndarray) -> np.ndarray:
    """Returns (sum n)^2 / sum n^2 (Kish 1965, Survey Sampling): as many patients with equally many cells tell as much. Shape (..., K) to (...)."""
    return cells.sum(axis=-1) ** 2 / np.square(cells).sum(axis=-1)


def clustered_variance(pulls: Sequence[Pull]) -> Spread:
    """Returns the variance of a metric over patients.

    Args:
        pulls: of one class, or of both for the same patients; in each at least two patients have cells.
    """
    parts = [_parts(pull) for pull in pulls]
    robust = np.square(sum(part.raised for part in parts)).sum(axis=-1)
    common = sum(part.common for part in parts)
    if len(parts) == 2:
        # A patient that is hard in one class may be hard or easy in the other.
        common = common + 2 * (parts[0].raised * parts[1].raised).sum(axis=-1)
    commons = np.stack([part.common for part in parts])
    robusts = np.stack([np.square(part.raised).sum(axis=-1) for part in parts])
    df = np.where(
        robust >= common,
        _mixed(robusts, np.stack([part.df_robust for part in parts])),
        _mixed(commons, np.stack([part.df_common for part in parts])),
    )
    patients = _mixed(commons, np.stack([part.patients for part in parts]))
    return Spread(np.maximum(robust, common), np.maximum(df, 1.0), patients)


def _mixed(variances: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Returns the degrees of freedom of a sum of variances (Welch-Satterthwaite), the smallest where nothing varies; axis 0 is summed."""
    bottom = (np.square(variances) / df).sum(axis=0)
    some = bottom > 0
    return np.where(some, np.square(variances.sum(axis=0)) / np.where(some, bottom, 1), df.min(axis=0))


def _parts(pull: Pull) -> _Parts:
    cells, deviations = np.broadcast_arrays(np.asarray(pull.cells, dtype=np.float64), pull.deviations)
    present = cells > 0
    weights = cells / cells.sum(axis=-1, keepdims=True)
    pulls = weights * deviations
    leverage = np.maximum(1 - weights, 1e-9)
    spread = _patient_variance(cells, weights, deviations, pull.within)
    shape = np.where(spread.sum(axis=-1, keepdims=True) > 0, spread, present)
    return _Parts(
        raised=pulls / np.sqrt(leverage),
        common=(np.square(weights) * spread).sum(axis=-1),
        df_common=_satterthwaite(weights, shape, weights),
        df_robust=_satterthwaite(weights, shape, np.square(weights) / leverage),
        patients=effective_patients(cells),
    )


def _patient_variance(cells: np.ndarray, weights: np.ndarray, deviations: np.ndarray, within: np.ndarray | None) -> np.ndarray:
    """Returns the common variance of a patient's mean, (..., K); 0 for patients without cells."""
    present = cells > 0
    if within is None:
        one = (weights * np.square(deviations)).sum(axis=-1) / (1 - np.square(weights).sum(axis=-1))
        return np.where(present, one[..., None], 0.0)
    # One-way analysis of variance with unequal sizes (Searle, Casella and McCulloch 1992, Variance Components, section 3.6).
    total, patients = cells.sum(axis=-1), present.sum(axis=-1)
    between_squares, within_squares = (cells * np.square(deviations)).sum(axis=-1), within.sum(axis=-1)
    within_mean = within_squares / np.maximum(total - patients, 1)
    size = (total - np.square(cells).sum(axis=-1) / total) / (patients - 1)
    between = np.maximum((between_squares / (patients - 1) - within_mean) / size, 0)
    cell = np.where(between > 0, within_mean, (between_squares + within_squares) / np.maximum(total - 1, 1))
    return np.where(present, between[..., None] + cell[..., None] / np.maximum(cells, 1), 0.0)


def _satterthwaite(weights: np.ndarray, variances: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Returns the degrees of freedom of sum_i f_i (x_i - sum_j a_j x_j)^2 for independent x_i of the given variances.

    With B the matrix of that quadratic form and S the diagonal one of the variances, they are tr(BS)^2 / tr(BSBS) (Bell and McCaffrey
    2002). B_ij is f_i [i = j] - a_i f_j - f_i a_j + F a_i a_j with F = sum f, so the traces are sums over patients.
    """
    a, f, s = weights, factors, variances
    total = f.sum(axis=-1)
    aa, ff, af = ((s * x).sum(axis=-1) for x in (a * a, f * f, a * f))
    off = 2 * a * f - total[..., None] * a * a
    diagonal = f - off
    trace = (s * diagonal).sum(axis=-1)
    squares = 2 * aa * ff + 2 * af**2 + total**2 * aa**2 - 4 * total * aa * af + (s * s * (diagonal**2 - off**2)).sum(axis=-1)
    return np.divide(trace**2, squares, out=np.ones_like(trace), where=squares > 0)
