"""Dividing patients into subsets of given fractions, balanced in cells, classes and healthy patients."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from malaria_exp.data.cell_table import POSITIVE, CellTable
from malaria_exp.utils.errors import ConfigError, DataError

MAX_SWAPS = 2000
MAX_SHUFFLES = 20


def divide_patients(
    table: CellTable,
    subsets: Mapping[str, float],
    seed: list[int],
    tolerance: float,
    *,
    largest: float | None = None,
    among: np.ndarray | None = None,
) -> tuple[dict[str, str], dict[str, Any]]:
    """Gives each patient a subset.

    1. Infected and healthy patients are shuffled and dealt out separately, so each subset gets its fraction of both, rounded.
    2. Two patients of a kind are exchanged, always the two that help most, until each subset's fraction of the parasitized cells, of the
       infected patients' uninfected cells, and of the healthy patients' cells is within the tolerance of its target, or no exchange helps.
    3. If it is not, both steps are repeated from another shuffle, a few times, and the best division is kept.

    The result depends on the seed, but not on the order of the rows.

    Args:
        table: the cells.
        subsets: {subset: fraction}, summing to 1; the order decides how numbers of patients are rounded.
        seed: the numbers that seed the shuffle.
        tolerance: the largest deviation of those fractions that is good enough, in [0, 1].
        largest: patients with more than this many times the average patient's parasitized or uninfected cells go into the largest
            subset; None for no such rule.
        among: the patients to divide; all by default.

    Returns:
        {patient: subset}, and for the manifest's details the largest deviation that is left, warnings, and, if the rule about heavy patients
        keeps some out of "test", `never_tested`: how many, and their fractions of all parasitized and uninfected cells.

    Raises:
        DataError: the patients of some cells are not known, or there are fewer patients than subsets.
    """
    if table.unknown_patients:
        raise DataError(
            f"split: the patients of {table.unknown_patients:,} of {len(table):,} cells of dataset '{table.name}' are not known, so they cannot be"
            " kept apart. Dividing cells goes without patients, and every result is then stamped LEAKY: split=cell_level_leaky\n"
            + "\n".join(table.remarks)
        )
    patients = np.unique(table.patient if among is None else among)
    names = list(subsets)
    if len(patients) < len(names):
        raise DataError(
            f"split: {len(patients)} patients cannot be divided into {len(names)} subsets ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})."
        )
    cells = _cells_by_kind(table, patients)
    infected = cells[:, 0] > 0
    rng = np.random.default_rng(seed)
    target = np.array([subsets[name] for name in names])
    totals = cells.sum(axis=0)
    fractions = cells[:, totals > 0] / totals[totals > 0]
    heavy = np.zeros(len(patients), dtype=bool) if largest is None else _heavy(cells, infected, largest)
    warnings = []
    if _deal(infected, target, heavy, np.random.default_rng(0)) is None:
        warnings.append(
            f"Too few patients to keep those with over {largest:g} times the average patient's cells out of the smaller subsets."
        )
        heavy[:] = False
    best, deviation = np.empty(0, dtype=np.int64), np.inf
    for _ in range(MAX_SHUFFLES):
        subset = _deal(infected, target, heavy, rng)
        if subset is None:
            raise AssertionError("whether a deal is possible does not depend on the draw")
        _exchange(subset, infected, heavy, fractions, target, tolerance)
        error = float(np.abs(_sums(subset, fractions, len(names)) - target[:, None]).max())
        if error < deviation:
            best, deviation = subset, error
        if deviation <= tolerance:
            break
    if deviation > tolerance:
        warnings.append(
            f"The subsets' fractions of cells are off their targets by up to {100 * deviation:.1f} points; "
            f"no exchange of patients brought them within split.tolerance = {100 * tolerance:g} points."
        )
    details: dict[str, Any] = {"largest_share_deviation": round(deviation, 5), "warnings": warnings}
    if heavy.any() and "test" in names and names[int(target.argmax())] != "test":
        by_class = np.stack([cells[:, 0], cells[:, 1:].sum(axis=1)])
        parasitized, uninfected = (by_class[:, heavy].sum(axis=1) / np.maximum(by_class.sum(axis=1), 1)).round(4).tolist()
        details["never_tested"] = {
            "patients": int(heavy.sum()),
            "largest": largest,
            "parasitized": parasitized,
            "uninfected": uninfected,
        }
    return {patient: names[number] for patient, number in zip(patients.tolist(), best.tolist(), strict=True)}, details


def check_sum(*, train: float, val: float, test: float, **_: Any) -> None:
    """Raises a ConfigError unless the fractions of the split's subsets sum to 1; a split's other parameters are not looked at."""
    subsets = {"train": train, "val": val, "test": test}
    total = sum(subsets.values())
    if abs(total - 1) > 1e-6:
        names, values = " + ".join(f"split.{name}" for name in subsets), " + ".join(f"{value:g}" for value in subsets.values())
        raise ConfigError(f"{names}: expected a sum of 1, received {values} = {total:g}.")


def _cells_by_kind(table: CellTable, patients: np.ndarray) -> np.ndarray:
    """Returns (patients, 3): each one's parasitized cells, uninfected cells if infected, and cells if healthy."""
    kinds = (table.label == POSITIVE, (table.label != POSITIVE) & table.infected, ~table.infected)
    return np.stack([_tally(table.patient[kind], patients) for kind in kinds], axis=1)


def _tally(values: np.ndarray, patients: np.ndarray) -> np.ndarray:
    known = values[np.isin(values, patients)]
    return np.bincount(np.searchsorted(patients, known), minlength=len(patients)).astype(float)


def _rounded(count: int, target: np.ndarray) -> np.ndarray:
    """Splits a count by fractions into whole numbers: the largest remainders are rounded up."""
    exact = count * target
    whole = np.floor(exact + 1e-9).astype(int)
    whole[np.argsort(whole - exact, kind="stable")[: count - whole.sum()]] += 1
    return whole


def _sums(subset: np.ndarray, fractions: np.ndarray, count: int) -> np.ndarray:
    sums = np.zeros((count, fractions.shape[1]))
    np.add.at(sums, subset, fractions)
    return sums


def _heavy(cells: np.ndarray, infected: np.ndarray, largest: float) -> np.ndarray:
    """Returns bool (patients,): who has over `largest` times the average patient's cells of a class.

    Parasitized cells are averaged over infected patients, uninfected ones over all.
    """
    parasitized, uninfected = cells[:, 0], cells[:, 1:].sum(axis=1)
    average = parasitized[infected].mean() if infected.any() else np.inf
    return (parasitized > largest * average) | (uninfected > largest * uninfected.mean())


def _deal(infected: np.ndarray, target: np.ndarray, heavy: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Deals out the patients of each kind at random, each subset its number; None if there are too many heavy ones."""
    home = int(target.argmax())
    subset = np.full(len(infected), home, dtype=np.int64)
    for kind in (infected, ~infected):
        due = _rounded(int(kind.sum()), target)
        places = np.repeat(np.arange(len(target)), due)
        if (kind & heavy).sum() > due[home]:
            return None
        places = np.delete(places, np.flatnonzero(places == home)[: (kind & heavy).sum()])
        subset[rng.permutation(np.flatnonzero(kind & ~heavy))] = places
    return subset


def _exchange(
    subset: np.ndarray, infected: np.ndarray, heavy: np.ndarray, fractions: np.ndarray, target: np.ndarray, tolerance: float
) -> None:
    """Exchanges patients in place, best pair first, until within the tolerance or nothing helps; heavy ones stay."""
    pairs = np.triu((infected[:, None] == infected[None, :]) & ~heavy[:, None] & ~heavy[None, :], k=1)
    for _ in range(MAX_SWAPS):
        error = _sums(subset, fractions, len(target)) - target[:, None]
        if np.abs(error).max() <= tolerance:
            return
        left, right = np.nonzero(pairs & (subset[:, None] != subset[None, :]))
        if not len(left):
            return
        # Exchanging i and j moves `moved` from i's subset to j's; `gain` is the fall of the squared error, summed over kinds.
        moved = fractions[left] - fractions[right]
        gain = (2 * moved * (error[subset[left]] - error[subset[right]] - moved)).sum(axis=1)
        best = int(gain.argmax())
        if gain[best] <= 1e-12:
            return
        i, j = left[best], right[best]
        subset[i], subset[j] = subset[j], subset[i]
