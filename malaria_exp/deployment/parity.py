"""Whether an exported model says the same as Keras: both score the same cells."""

from collections.abc import Iterable, Iterator, Mapping
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
    """How scores compare with Keras' of the same cells.

    Attributes:
        largest_difference: of a score.
        flips: by threshold, how many cells are predicted otherwise.
        auc: of the scores; None if all cells are of one class.
    """

    largest_difference: float
    flips: dict[str, int]
    auc: float | None


def batches(images: np.ndarray) -> Iterator[np.ndarray]:
    """Yields the images, (N, ...), in calls' sizes."""
    return (images[start : start + BATCH] for start in range(0, len(images), BATCH))


def scores_of(run: Runner, images: np.ndarray) -> np.ndarray:
    """Returns an exported model's scores, float64 (B,), of images of one size, uint8 (B, H, W, 3)."""
    return run(images)[SCORE][:, 0].astype(np.float64)


def compare_scores(scores: np.ndarray, cells: CheckCells, expected: np.ndarray, thresholds: Mapping[str, Threshold]) -> Parity:
    """Compares scores with Keras', both (N,), of these cells, N."""
    flips = {name: int(((scores >= item.value) != (expected >= item.value)).sum()) for name, item in thresholds.items()}
    auc = float(Ranking(cells.labels, np.nan_to_num(scores)).auc_and_average_precision()[0])
    return Parity(float(np.abs(scores - expected).max()), flips, None if np.isnan(auc) else auc)
