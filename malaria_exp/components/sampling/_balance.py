"""Epochs that hold as many cells of each group, such as a patient or a class."""

import numpy as np

from malaria_exp.data.sampling import Choose


def balanced(groups: np.ndarray) -> Choose:
    """Returns the choice in which the groups have the same number of cells in an epoch, or one more.

    In a group with fewer cells than that, cells are taken several times, each as often as the others or once more; of a larger group some
    cells are drawn anew for each epoch.

    Args:
        groups: of all training cells, (N,).
    """

    def choose(cells: np.ndarray, losses: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG001
        _, number, sizes = np.unique(groups[cells], return_inverse=True, return_counts=True)
        quota = _dealt(count, rng.permutation(len(sizes)))
        # A random order inside of each group: the first so many have one more than the others.
        order = np.lexsort((rng.random(len(cells)), number))
        place = np.empty(len(cells), np.int64)
        place[order] = np.arange(len(cells)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return quota[number] // sizes[number] + (place < quota[number] % sizes[number])

    return choose


def _dealt(count: int, order: np.ndarray) -> np.ndarray:
    """Returns `count` divided evenly, int64 (n,); the first in the order get the rest."""
    quota = np.full(len(order), count // len(order))
    quota[order[: count % len(order)]] += 1
    return quota
