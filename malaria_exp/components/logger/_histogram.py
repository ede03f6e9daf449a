"""Histograms of weights and gradients, counted in one pass over the numbers."""

import numpy as np


def counts_between(numbers: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns how many of the numbers lie in each of so many bins of one width, int64 (bins,), and the bins' edges, float64 (bins + 1,).

    Args:
        numbers: finite, of any shape and type. Where all are the same, they are in the middle of a range of 1.
        bins: at least 1.
    """
    # As float64: between two neighbors of float32 there is no room for many bins, which NumPy refuses.
    return np.histogram(numbers.astype(np.float64), bins=bins)
