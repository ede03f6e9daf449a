"""Whether an exported model says the same as Keras: both score the same cells."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from malaria_exp.data.resize import ResizeRule, resize
from malaria_exp.deployment.deployed_model import SCORE
from malaria_exp.deployment.formats import Runner
from malaria_exp.evaluation.metrics import Ranking
from malaria_exp.evaluation.thresholds import Threshold

# Cells in a call where all have one size.
BATCH = 64


@dataclass(frozen=True)
class CheckCells:
    """Cells by which exports are checked.

    Attributes:
        words: what they are.
        images: at their own sizes, RGB, uint8 (H, W, 3) each.
        labels: (N,), 1 = parasitized, 0 = uninfected.
        prepared: the same as the program resizes them, uint8 (N, size, size, 3).
    """

    words: str
    images: list[np.ndarray]
    labels: np.ndarray
    prepared: np.ndarray

    @classmethod
    def of(cls, words: str, images: Iterable[np.ndarray], labels: np.ndarray, rule: ResizeRule) -> "CheckCells":
        """Makes them of raw images and their labels."""
        images = list(images)
        return cls(words, images, labels, np.stack([resize(image, rule) for image in images]))


@dataclass(frozen=True)
class Parity:
    """How an export's scores compare with Keras' of the same cells.

    Attributes:
        same_pixels: largest difference of a score where both get the cells as the program resizes them.
        raw: largest difference where the export gets the raw images and resizes them itself.
        off: fraction of raw images whose scores differ by more than `same_pixels`' tolerance.
        flips: by threshold, how many raw images it predicts otherwise.
        auc: of its scores of the raw images; nan if all are of one class.
    """

    same_pixels: float
    raw: float
    off: float
    flips: dict[str, int]
    auc: float


def compare(run: Runner, cells: CheckCells, expected: np.ndarray, thresholds: Mapping[str, Threshold], tolerance: float) -> Parity:
    """Scores cells with an export and compares.

    Args:
        run: the export.
        cells: what it scores.
        expected: Keras' scores, (N,).
        thresholds: by name.
        tolerance: of a score, for `Parity.off`.
    """
    parts = [run(cells.prepared[start : start + BATCH])[SCORE] for start in range(0, len(expected), BATCH)]
    same = np.abs(np.concatenate(parts)[:, 0] - expected)
    raw = np.array([float(run(image[None])[SCORE][0, 0]) for image in cells.images])
    off = np.abs(raw - expected)
    flips = {name: int(((raw >= item.value) != (expected >= item.value)).sum()) for name, item in thresholds.items()}
    # A score that is no number differs by no number, and so by more than any tolerance.
    auc = Ranking(cells.labels, np.nan_to_num(raw)).auc_and_average_precision()[0]
    return Parity(float(same.max()), float(off.max()), float(np.mean(~(off <= tolerance))), flips, float(auc))
