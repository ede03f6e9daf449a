"""Dividing patients into subsets of given shares so that cells, classes and healthy people stay balanced."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from malaria_exp.errors import DataError
from malaria_exp.table import POSITIVE, CellTable

MAX_SWAPS = 2000
MAX_SHUFFLES = 20


def divide_patients(
    table: CellTable, shares: Mapping[str, float], seed: list[int], tolerance: float, among: np.ndarray | None = None
) -> tuple[dict[str, str], float]:
    """Gives each patient a subset.

    Infected and healthy patients are shuffled and dealt out separately, so each subset's number of either is its share,
    rounded. Then, greedily, the one exchange of two patients of a kind that helps most is made, again and again, until each
    subset's share of the parasitized cells, of the uninfected cells of infected people and of the cells of healthy people
    is within the tolerance of its target, or no exchange helps; then it starts again from another shuffle, a few times, and
    the best division is kept. Deterministic for a seed and independent of the rows' order.

    Args:
        table: the cells.
        shares: {subset: share}, summing to 1; the order settles roundings.
        seed: the numbers that seed the shuffle.
        tolerance: largest deviation of any of those shares that is good enough, in [0, 1].
        among: the patients to divide; all by default.

    Returns:
        {patient: subset}, and the largest deviation that is left.

    Raises:
        DataError: fewer patients than subsets.
    """
    patients = np.unique(table.patient if among is None else among)
    names = list(shares)
    if len(patients) < len(names):
        raise DataError(f"split: {len(patients)} patients cannot be divided into {len(names)} subsets ({', '.join(names)}).")
    cells = _cells_by_kind(table, patients)
    infected = cells[:, 0] > 0
    rng = np.random.default_rng(seed)
    target = np.array([shares[name] for name in names])
    totals = cells.sum(axis=0)
    fractions = cells[:, totals > 0] / totals[totals > 0]
    best, deviation = np.empty(0, dtype=np.int64), np.inf
    for _ in range(MAX_SHUFFLES):
        subset = np.empty(len(patients), dtype=np.int64)
        for kind in (infected, ~infected):
            members = rng.permutation(np.flatnonzero(kind))
            subset[members] = np.repeat(np.arange(len(names)), _rounded(len(members), target))
        _exchange(subset, infected, fractions, target, tolerance)
        error = float(np.abs(_sums(subset, fractions, len(names)) - target[:, None]).max())
        if error < deviation:
            best, deviation = subset, error
        if deviation <= tolerance:
            break
    return {patient: names[number] for patient, number in zip(patients.tolist(), best.tolist(), strict=True)}, deviation


def balance_details(deviation: float, tolerance: float) -> dict[str, Any]:
    """Returns what a manifest records of the balance, with a warning where the tolerance was not reached."""
    details: dict[str, Any] = {"largest_share_deviation": round(deviation, 5), "tolerance": tolerance}
    if deviation > tolerance:
        details["warning"] = (
            f"The subsets' shares of cells are off their targets by up to {100 * deviation:.1f} points; "
            f"no exchange of patients brought them within split.tolerance = {100 * tolerance:g} points."
        )
    return details


def _cells_by_kind(table: CellTable, patients: np.ndarray) -> np.ndarray:
    """Returns (patients, 3): parasitized cells, uninfected cells of infected people, cells of healthy people."""
    kinds = (table.label == POSITIVE, (table.label != POSITIVE) & table.infected, ~table.infected)
    return np.stack([_tally(table.patient[kind], patients) for kind in kinds], axis=1)


def _tally(values: np.ndarray, patients: np.ndarray) -> np.ndarray:
    known = values[np.isin(values, patients)]
    return np.bincount(np.searchsorted(patients, known), minlength=len(patients)).astype(float)


def _rounded(count: int, target: np.ndarray) -> np.ndarray:
    """Splits a count by shares into whole numbers: the largest remainders are rounded up."""
    exact = count * target
    whole = np.floor(exact + 1e-9).astype(int)
    whole[np.argsort(whole - exact, kind="stable")[: count - whole.sum()]] += 1
    return whole


def _sums(subset: np.ndarray, fractions: np.ndarray, count: int) -> np.ndarray:
    sums = np.zeros((count, fractions.shape[1]))
    np.add.at(sums, subset, fractions)
    return sums


def _exchange(subset: np.ndarray, infected: np.ndarray, fractions: np.ndarray, target: np.ndarray, tolerance: float) -> None:
    """Exchanges patients in place, best pair first, until within the tolerance or nothing helps."""
    upper = np.triu(infected[:, None] == infected[None, :], k=1)
    for _ in range(MAX_SWAPS):
        error = _sums(subset, fractions, len(target)) - target[:, None]
        if np.abs(error).max() <= tolerance:
            return
        left, right = np.nonzero(upper & (subset[:, None] != subset[None, :]))
        if not len(left):
            return
        # Exchanging i and j moves `moved` from i's subset to j's: the squared error changes by this much, summed over kinds.
        moved = fractions[left] - fractions[right]
        gain = (2 * moved * (error[subset[left]] - error[subset[right]] - moved)).sum(axis=1)
        best = int(gain.argmax())
        if gain[best] <= 1e-12:
            return
        i, j = left[best], right[best]
        subset[i], subset[j] = subset[j], subset[i]
