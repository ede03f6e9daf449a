"""How long a model takes, for one cell and for many."""

import statistics
import time
from collections.abc import Callable

import numpy as np

MANY = 256
# Calls that are timed.
SINGLE_CALLS, LARGE_CALLS = 30, 3


def latency(run: Callable[[np.ndarray], object], cells: np.ndarray) -> tuple[float, float]:
    """Returns milliseconds: of a call with one cell, and for 1,000 cells in calls of `MANY`; each the median of a few calls.

    Args:
        run: scores images, uint8 (B, H, W, 3).
        cells: of one size, uint8 (N, H, W, 3).
    """
    many = np.resize(cells, (MANY, *cells.shape[1:]))
    return _median(run, cells[:1], SINGLE_CALLS), _median(run, many, LARGE_CALLS) / MANY * 1000


def _median(run: Callable[[np.ndarray], object], images: np.ndarray, calls: int) -> float:
    run(images)
    seconds = []
    for _ in range(calls):
        start = time.perf_counter()
        run(images)
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds)
