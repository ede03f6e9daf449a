"""A test whether the patients of a group have another rate than all others.

Patients change groups at random, and the difference of both rates, in units of its standard error over patients, is computed again: p is how often
it is as large as found. With that unit the test also holds where one group's patients vary more, or have more cells, than the other's
(studentized permutation; Janssen 1997, https://doi.org/10.1016/S0167-7152(97)00043-6; Pauly, Brunner and Konietschke 2015,
https://doi.org/10.1111/rssb.12073). benchmarks/subgroup_tests.py counts how often it finds a difference where there is none.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

PERMUTATIONS = 4999
# Fewer patients in a group, or outside of it, have too few different permutations, and a standard error that is none.
FEWEST = 5
# Of more patients the difference over its standard error is normally distributed, and permutations would only take time.
MANY = 2000
# Memberships held at once.
CHUNK = 2**20


@dataclass(frozen=True)
class GroupTest:
    """A rate of a group less that of all others.

    Attributes:
        difference: None where a side has no cells.
        p: two-sided; None without a test.
        reason: why there is no test; empty with one.
    """

    difference: float | None
    p: float | None
    reason: str


def compare_with_rest(hits: np.ndarray, patient: np.ndarray, member: np.ndarray, seed: int, permutations: int = PERMUTATIONS) -> GroupTest:
    """Tests whether a rate differs between a group and the rest.

    Args:
        hits: bool (N,), of each cell that the rate is a fraction of.
        patient: (N,), whose it is. One who has cells on both sides counts as two.
        member: bool (N,), the cell is in the group.
        seed: of the permutations.
        permutations: how many.
    """
    _, unit = np.unique(np.stack([np.unique(patient, return_inverse=True)[1], member]), axis=1, return_inverse=True)
    unit = unit.reshape(-1)
    cells, found = np.bincount(unit), np.bincount(unit, hits)
    inside = np.bincount(unit, member) > 0
    sides = inside.sum(), (~inside).sum()
    if not all(sides):
        return GroupTest(None, None, "no such cells in this group" if not sides[0] else "no such cells outside of this group")
    sums = np.stack([cells, found, found**2, found * cells, cells**2], axis=1).astype(np.float64)
    difference = float(_statistic(inside[None].astype(np.float64), sums)[0][0])
    if min(sides) < FEWEST:
        few = "patients" if sides[0] < FEWEST else "other patients"
        number = sides[0] if sides[0] < FEWEST else sides[1]
        return GroupTest(difference, None, f"{number} {few[:-1] if number == 1 else few}; a test needs {FEWEST}")
    observed = abs(float(_statistic(inside[None].astype(np.float64), sums)[1][0]))
    if len(inside) > MANY:
        return GroupTest(difference, float(2 * special.ndtr(-observed)), "")
    rng, larger, left = np.random.default_rng(seed), 0, permutations
    while left:
        rows = min(left, max(1, CHUNK // len(inside)))
        drawn = rng.permuted(np.tile(inside, (rows, 1)), axis=1).astype(np.float64)
        # Sums in another order differ in the last digits.
        larger += int((np.abs(_statistic(drawn, sums)[1]) >= observed * (1 - 1e-9)).sum())
        left -= rows
    return GroupTest(difference, (1 + larger) / (1 + permutations), "")


def _statistic(member: np.ndarray, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the difference of the rates, and that over its standard error, for each row of memberships (B, K)."""
    rates, variances = [], []
    for side, patients in ((member @ sums, member.sum(axis=1)), ((1 - member) @ sums, (1 - member).sum(axis=1))):
        cells, hits, hits2, both, cells2 = side.T
        rate = hits / cells
        rates.append(rate)
        squares = np.maximum(hits2 - 2 * rate * both + rate**2 * cells2, 0)
        variances.append(squares / cells**2 * patients / np.maximum(patients - 1, 1))
    difference, error = rates[0] - rates[1], np.sqrt(variances[0] + variances[1])
    # Where no patient differs from another (all cells right, say), any difference is larger than chance.
    same = np.abs(difference) < 1e-12
    with np.errstate(divide="ignore", invalid="ignore"):
        return difference, np.where(same, 0.0, difference / error)
