"""Holm's correction of p values for many tests."""

from collections.abc import Sequence


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Returns the p values after Holm's correction (1979, Scandinavian Journal of Statistics 6:65-70); None is no test and stays None."""
    tests = sorted((p, place) for place, p in enumerate(values) if p is not None)
    corrected: list[float | None] = [None] * len(values)
    largest = 0.0
    for rank, (p, place) in enumerate(tests):
        largest = max(largest, min(1.0, p * (len(tests) - rank)))
        corrected[place] = largest
    return corrected
