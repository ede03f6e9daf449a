"""Scores: the probability of being parasitized that a model gives each cell."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from malaria_exp.data.seeds import to_unit
from malaria_exp.data.split_manifest import Manifest
from malaria_exp.data.subsets import Cells
from malaria_exp.evaluation.logit_map import LogitMap
from malaria_exp.evaluation.predictions import Predictions, sigmoid
from malaria_exp.utils.errors import DataError

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


class Scorer:
    """Scores cells with a model, every cell exactly once and in order.

    Args:
        model: images (B, size, size, 3) in [0, 1] to logits (B, 1).
        batch_size: cells in a call.
    """

    def __init__(self, model: "keras.Model", batch_size: int = 256) -> None:
        import tensorflow as tf

        self.batch_size = batch_size

        @tf.function(autograph=False)
        def call(images: "tf.Tensor") -> "tf.Tensor":
            return tf.cast(model(to_unit(images), training=False), tf.float32)

        self._call = call

    def logits(self, cells: Cells) -> np.ndarray:
        """Returns the logits, float64 (N,)."""
        return in_batches(self._call, cells, self.batch_size)[:, 0].astype(np.float64)


def in_batches(call: "Callable[[np.ndarray], tf.Tensor]", cells: Cells, batch_size: int) -> np.ndarray:
    """Returns what a function gives of each cell, every cell exactly once and in order.

    Args:
        call: takes uint8 images (batch_size, size, size, 3) and gives (batch_size, K).
        cells: to go through.
        batch_size: cells in a call; the last batch is filled up with black images, so that all have one shape.
    """
    found = []
    # Of no cells too, a call says how many numbers a cell has.
    for start in range(0, max(1, len(cells)), batch_size):
        images = cells.images(start, start + batch_size)
        count = len(images)
        if count < batch_size:
            images = np.concatenate([images, np.zeros((batch_size - count, *images.shape[1:]), np.uint8)])
        found.append(call(images).numpy()[:count])
    return np.concatenate(found)


def predict(scorer: Scorer, manifest: Manifest, subsets: list[Cells], calibration: LogitMap) -> tuple[Predictions, np.ndarray]:
    """Scores whole subsets.

    Args:
        scorer: of the uncalibrated model.
        manifest: the split.
        subsets: the cells to score.
        calibration: of the model's logits.

    Returns:
        The calibrated scores; and, in the same order, those before calibration, float64 (N,) in [0, 1].

    Raises:
        DataError: a cell of the manifest's subsets stays without a score.
    """
    rows = np.concatenate([cells.rows for cells in subsets])
    logits = np.concatenate([scorer.logits(cells) for cells in subsets])
    scores = sigmoid(calibration(logits))
    expected = sum(len(manifest.rows(cells.subset)) for cells in subsets)
    if not len(rows) == len(scores) == expected:
        raise DataError(f"Scored {len(scores)} cells where the manifest has {expected}.")
    if not np.isfinite(scores).all():
        raise DataError(f"The model gave no number for {int((~np.isfinite(scores)).sum())} of {expected} cells: its training diverged.")
    predictions = Predictions(
        cell_id=manifest.cell_id[rows],
        patient=manifest.patient[rows],
        slide=manifest.slide[rows],
        label=manifest.label[rows],
        score=scores,
        subset=manifest.subset[rows],
    )
    return predictions, sigmoid(logits)
