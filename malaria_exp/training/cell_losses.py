"""The latest loss of each training cell, which sampling by losses needs: it comes from the training steps themselves.

It imports Keras: import it late.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf


class CellLosses(keras.metrics.Metric):
    """Gathers the losses of an epoch's cells, before they are weighted.

    A cell that the epoch holds several times, in several views, has their mean. The loss of a mixed image counts for the cell that it was
    before mixing.

    Args:
        loss: on logits.
        cells: number of training cells.
    """

    def __init__(self, loss: keras.losses.Loss, cells: int) -> None:
        super().__init__(name="cell_losses")
        self.loss, self.cells = loss, cells
        # Of each cell the sum of its losses, and their number. On several devices each has the sums of its own cells.
        self.sums = self.add_variable((cells, 2), "zeros", name="sums")

    def update_state(self, labels: Any, logits: Any, places: Any) -> None:
        """Adds a batch.

        Args:
            labels: float32 (B, 1).
            logits: (B, 1).
            places: of its cells among the training cells, int32 (B,).
        """
        losses = tf.cast(self.loss.call(labels, tf.cast(logits, tf.float32)), tf.float32)
        columns = tf.stack([losses, tf.ones_like(losses)], axis=1)
        self.sums.assign(self.sums + tf.scatter_nd(places[:, None], columns, (self.cells, 2)))

    def result(self) -> Any:
        """Returns the sums and numbers, float32 (N, 2)."""
        return tf.convert_to_tensor(self.sums)

    def write_into(self, losses: np.ndarray) -> None:
        """Overwrites the losses float32 (N,) of the cells that the epoch held."""
        sums, numbers = self.result().numpy().T
        losses[numbers > 0] = sums[numbers > 0] / numbers[numbers > 0]


def noting_model(images: Any, logits: Any, cell_losses: CellLosses) -> keras.Model:
    """Returns a model for Keras' fit whose batches have the cells' places as a fourth part, and which notes each cell's loss.

    Args:
        images: Keras input.
        logits: Keras output.
        cell_losses: notes them.
    """
    under_way = []

    class NotingModel(keras.Model):
        """Notes the loss of each cell in a training step."""

        def train_step(self, data: Any) -> Any:
            """Takes images, labels, weights and places."""
            *batch, places = data
            under_way.append(places)
            return super().train_step(tuple(batch))

        def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            """Notes the losses, too."""
            # On several devices Keras calls it once without a step, to build the metrics.
            if under_way:
                cell_losses.update_state(y, y_pred, under_way.pop())
            return super().compute_metrics(x, y, y_pred, sample_weight)

    return NotingModel(images, logits)
