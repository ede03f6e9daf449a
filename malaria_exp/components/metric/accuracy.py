"""Accuracy of the training batches."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register

if TYPE_CHECKING:
    import keras


@register("metric", "accuracy")
def accuracy() -> "keras.metrics.Metric":
    """Part of the training cells called right, at score .5; a smoothed or mixed label counts as what it mostly is."""
    from malaria_exp.components.metric._counts import CountsMetric

    return CountsMetric("accuracy")
