"""Specificity on the training batches."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register

if TYPE_CHECKING:
    import keras


@register("metric", "specificity")
def specificity() -> "keras.metrics.Metric":
    """Part of the uninfected training cells that is called uninfected, at score .5."""
    from malaria_exp.components.metric._counts import CountsMetric

    return CountsMetric("specificity")
