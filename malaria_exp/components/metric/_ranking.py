"""The Keras classes behind the options of ranking.py. Importing them imports Keras, so only the builders do."""

from typing import Any

import keras
from keras import ops

from malaria_exp.components.metric._counts import columns
from malaria_exp.evaluation.metrics import Direction

# Bins of equal width in the logit. Two cells in one bin count as a tie: with scores spread like a trained model's, AUC is off by
# less than .001. Logits beyond the ends (scores within 1e-5 of 0 or 1) fall into the outermost bins.
BINS, LIMIT = 2048, 12.0


@keras.saving.register_keras_serializable(package="malaria_exp")
class RankingMetric(keras.metrics.Metric):
    """Base of metrics that need every threshold: keeps a histogram of the logits of each class.

    Args:
        **kwargs: of any Keras metric.
    """

    direction: Direction = "max"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.histogram = self.add_variable(shape=(2, BINS), initializer="zeros", name="histogram", dtype="float32")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch: labels (B, 1) in [0, 1], logits (B, 1), weights None, (B,) or (B, 1)."""
        positive, _, weight = columns(y_true, y_pred, sample_weight)
        position = ops.floor((ops.cast(ops.reshape(y_pred, (-1,)), "float32") + LIMIT) * (BINS / (2 * LIMIT)))
        number = ops.cast(ops.clip(position, 0, BINS - 1), "int32") + BINS * ops.cast(positive, "int32")
        self.histogram.assign_add(ops.reshape(ops.segment_sum(weight, number, num_segments=2 * BINS), (2, BINS)))

    def curve(self) -> tuple[Any, Any]:
        """Returns (sensitivity, 1 - specificity), each (BINS,), at the lower edge of every bin from the highest down; nan for a missing class."""
        uninfected, parasitized = ops.unstack(ops.flip(ops.convert_to_tensor(self.histogram), axis=1), 2)
        return ops.cumsum(parasitized) / ops.sum(parasitized), ops.cumsum(uninfected) / ops.sum(uninfected)


@keras.saving.register_keras_serializable(package="malaria_exp")
class AUC(RankingMetric):
    """Area under the ROC curve by the trapezoid rule; nan unless there are cells of both classes."""

    def result(self) -> Any:
        """Returns the area."""
        found, alarmed = self.curve()
        before = ops.concatenate([ops.zeros(1), found[:-1]])
        step = alarmed - ops.concatenate([ops.zeros(1), alarmed[:-1]])
        return ops.sum(step * (found + before) / 2)


@keras.saving.register_keras_serializable(package="malaria_exp")
class AtLeast(RankingMetric):
    """The best of one rate at the thresholds where another is at least so high; nan unless there are cells of both classes.

    Args:
        wanted: "sensitivity" or "specificity", the rate that is returned.
        floor: of the other rate, in (0, 1).
        **kwargs: of any Keras metric.
    """

    def __init__(self, wanted: str, floor: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.wanted, self.floor = wanted, floor

    def result(self) -> Any:
        """Returns the rate."""
        found, alarmed = self.curve()
        # One more threshold lies above all scores: no cell is predicted parasitized.
        sensitivity = ops.concatenate([ops.zeros(1), found])
        specificity = ops.concatenate([ops.ones(1), 1 - alarmed])
        rate, other = (sensitivity, specificity) if self.wanted == "sensitivity" else (specificity, sensitivity)
        best = ops.max(ops.where(other >= self.floor - 1e-6, rate, 0.0))
        return ops.where(ops.isnan(found[-1] + alarmed[-1]), float("nan"), best)

    def get_config(self) -> dict[str, Any]:
        """Returns what rebuilds the metric."""
        return super().get_config() | {"wanted": self.wanted, "floor": self.floor}
