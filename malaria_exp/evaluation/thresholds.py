"""Thresholds: chosen once, on validation patients, then frozen."""

from typing import Literal

import numpy as np

from malaria_exp.utils.errors import ConfigError

HALF = 0.5
# The names are keys of metrics.json and parts of the plots' file names.
ThresholdName = Literal["half", "chosen"]


def choose_threshold(labels: np.ndarray, scores: np.ndarray, target_sensitivity: float) -> float:
    """Returns the largest threshold whose sensitivity on these cells is at least the target.

    A lower threshold could only lose specificity. The threshold is the score of a parasitized cell (a cell is predicted parasitized if
    score >= threshold), so these cells reach the target; new patients reach it only approximately.

    Args:
        labels: (N,), 1 = parasitized, 0 = uninfected; of validation cells, never of test cells.
        scores: (N,), probability of parasitized, in [0, 1].
        target_sensitivity: in (0, 1].

    Returns:
        The threshold, in [0, 1]. Without a parasitized cell no sensitivity is defined and 0.5 comes back; `evaluate` then says so in
        "threshold_source". Cells of equal score are predicted alike, so the sensitivity reached may lie far above the target.

    Raises:
        ConfigError: the target is outside (0, 1].
    """
    if not 0 < target_sensitivity <= 1:
        raise ConfigError(f"target_sensitivity: expected a number above 0 and at most 1. Received: {target_sensitivity}")
    found = np.sort(np.asarray(scores, dtype=np.float64)[np.asarray(labels) == 1])[::-1]
    if not len(found):
        return HALF
    # Compared as a quotient, like the sensitivity that is reported: ceil(target * P) can be off by one cell.
    enough = np.arange(1, len(found) + 1) / len(found) >= target_sensitivity
    return float(found[np.argmax(enough)])
