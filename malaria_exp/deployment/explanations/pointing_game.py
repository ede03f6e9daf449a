"""The pointing game: how often the strongest place of a map is on a parasite (Zhang et al. 2016, https://arxiv.org/abs/1608.00507).

It needs cells whose parasites are known, as they are of synthetic ones.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from malaria_exp.data.resize import ResizeRule
from malaria_exp.deployment.explanations.explained_model import inside
from malaria_exp.deployment.explanations.overlay import to_cell
from malaria_exp.evaluation.intervals.interval_interface import IntervalMethod


@dataclass(frozen=True, eq=False)
class Target:
    """A cell with its parasites.

    Attributes:
        image: RGB, uint8 (height, width, 3), at its own size.
        parasites: bool (height, width).
    """

    image: np.ndarray
    parasites: np.ndarray

    def wide(self, rule: ResizeRule) -> np.ndarray:
        """Returns where a map hits, bool (height, width): the parasites and one pixel of what the model sees around them, within the cell."""
        from scipy.ndimage import binary_dilation  # imported late, as in `clopper_pearson`

        grown: np.ndarray = binary_dilation(self.parasites, iterations=max(1, round(max(self.parasites.shape) / rule.size)))
        return grown & inside(self.image)

    def chance(self, rule: ResizeRule) -> float:
        """Returns the fraction of the cell in which a map hits: how often a place taken at random does."""
        return float(self.wide(rule).sum() / inside(self.image).sum())

    def hit(self, values: np.ndarray, rule: ResizeRule) -> bool:
        """Tells whether the largest value of a map (m, m) within the cell is on a parasite."""
        own = to_cell(values, self.parasites.shape, rule)
        return bool(self.wide(rule).ravel()[np.where(inside(self.image), own, -np.inf).argmax()])


def hit_rate(
    hits: np.ndarray, patients: np.ndarray, interval: IntervalMethod, *, resamples: int, confidence: float, seed: int
) -> dict[str, Any]:
    """Returns the fraction of hits with its interval over patients, as a cell of metrics.json.

    Args:
        hits: bool (N,).
        patients: (N,), of each cell.
        interval: the method; a hit rate is to it the sensitivity of cells that are all parasitized.
        resamples: of patients, where they are resampled.
        confidence: in (0, 1).
        seed: of everything that is resampled.
    """
    labels = np.ones(len(hits), np.int8)
    found = interval(labels, hits.astype(np.float64), patients, {"hit": 0.5}, resamples=resamples, confidence=confidence, seed=seed)
    cell: dict[str, Any] = found["at"]["hit"]["sensitivity"]
    return cell
