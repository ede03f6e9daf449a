"""The Keras class behind the options of counts.py. Importing it imports Keras, so only the builders do."""

from typing import Any

import keras
from keras import ops

from malaria_exp.evaluation.metrics import METRICS, Direction

COUNTS = ("tp", "fp", "tn", "fn")


def columns(labels: Any, logits: Any, weights: Any) -> tuple[Any, Any, Any]:
    """Returns (positive, predicted, weight) of each cell, each float32 (B,).

    `positive` is 1 where the label is parasitized, `predicted` is 1 where the model predicts so, and `weight` is what the cell counts.
    A smoothed or mixed label counts as the class that has the larger fraction of it, so that mixed batches are measured in whole cells.

    Args:
        labels: (B, 1) in [0, 1].
        logits: (B, 1); a cell is predicted parasitized if its logit is at least 0, its score at least .5.
        weights: None, a number, (B,) or (B, 1).
    """
    positive = ops.cast(ops.reshape(labels, (-1,)) > 0.5, "float32")
    predicted = ops.cast(ops.reshape(logits, (-1,)) >= 0, "float32")
    weight = (
        ops.ones_like(positive)
        if weights is None
        else ops.broadcast_to(ops.reshape(ops.cast(weights, "float32"), (-1,)), ops.shape(positive))
    )
    return positive, predicted, weight


@keras.saving.register_keras_serializable(package="malaria_exp")
class CountsMetric(keras.metrics.Metric):
    """A count or a rate at score .5; the counts add up over batches, and the rate is taken of the sums.

    Args:
        rate: "tp", "fp", "tn", "fn", or a rate of evaluation/metrics.py: accuracy, sensitivity, specificity, ppv, npv, f1, mcc.
        name: the metric's; `rate` if not given.
        **kwargs: of any Keras metric.
    """

    def __init__(self, rate: str, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name or rate, **kwargs)
        self.rate = rate
        self.counts = self.add_variable(shape=(len(COUNTS),), initializer="zeros", name="counts", dtype="float32")

    @property
    def direction(self) -> Direction | None:
        """Which way is better; None for a count."""
        return METRICS[self.rate].direction if self.rate in METRICS else None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch: labels (B, 1) in [0, 1], logits (B, 1), weights None, (B,) or (B, 1)."""
        positive, predicted, weight = columns(y_true, y_pred, sample_weight)
        negative, rejected = 1 - positive, 1 - predicted
        cells = ops.stack([positive * predicted, negative * predicted, negative * rejected, positive * rejected])
        self.counts.assign_add(ops.sum(cells * weight, axis=1))

    def result(self) -> Any:
        """Returns the count or the rate; nan if its denominator is 0."""
        tp, fp, tn, fn = ops.unstack(ops.convert_to_tensor(self.counts), len(COUNTS))
        if self.rate in COUNTS:
            return {"tp": tp, "fp": fp, "tn": tn, "fn": fn}[self.rate]
        top, bottom = {
            "accuracy": (tp + tn, tp + fp + tn + fn),
            "sensitivity": (tp, tp + fn),
            "specificity": (tn, tn + fp),
            "ppv": (tp, tp + fp),
            "npv": (tn, tn + fn),
            "f1": (2 * tp, 2 * tp + fp + fn),
            "mcc": (tp * tn - fp * fn, ops.sqrt(tp + fp) * ops.sqrt(tp + fn) * ops.sqrt(tn + fp) * ops.sqrt(tn + fn)),
        }[self.rate]
        return ops.where(bottom > 0, top / ops.where(bottom > 0, bottom, 1.0), float("nan"))

    def get_config(self) -> dict[str, Any]:
        """Returns what rebuilds the metric."""
        return super().get_config() | {"rate": self.rate}
