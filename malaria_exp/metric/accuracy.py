"""Accuracy of the training batches."""

from typing import TYPE_CHECKING, Any

from malaria_exp.registry import register

if TYPE_CHECKING:
    import keras


@register("metric", "accuracy")
def accuracy() -> "keras.metrics.Metric":
    """Part of the training cells called right, at score .5; a smoothed or mixed label counts as what it mostly is."""
    import keras

    return keras.metrics.MeanMetricWrapper(dominant_accuracy, name="accuracy")


def dominant_accuracy(labels: Any, logits: Any) -> Any:
    """Returns (B,) whether the logit's side is the label's larger side: smoothed or mixed labels count as what they mostly are."""
    from keras import ops

    return ops.mean(ops.cast(ops.equal(labels > 0.5, logits > 0), "float32"), axis=-1)
