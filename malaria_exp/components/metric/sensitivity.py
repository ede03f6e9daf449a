"""Sensitivity on the training batches."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register

if TYPE_CHECKING:
    import keras


@register("metric", "sensitivity")
def sensitivity() -> "keras.metrics.Metric":
    """Part of the parasitized training cells that is found (recall), at score .5."""
    from malaria_exp.components.metric._counts import CountsMetric

    return CountsMetric("sensitivity")
