"""Positive predictive value on the training batches."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register

if TYPE_CHECKING:
    import keras


@register("metric", "ppv")
def ppv() -> "keras.metrics.Metric":
    """Part of the training cells called parasitized that is (precision), at score .5."""
    from malaria_exp.components.metric._counts import CountsMetric

    return CountsMetric("ppv")
