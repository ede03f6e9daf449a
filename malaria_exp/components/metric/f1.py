"""F1 on the training batches."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register

if TYPE_CHECKING:
    import keras


@register("metric", "f1")
def f1() -> "keras.metrics.Metric":
    """Harmonic mean of sensitivity and PPV on the training cells, at score .5."""
    from malaria_exp.components.metric._counts import CountsMetric

    return CountsMetric("f1")
