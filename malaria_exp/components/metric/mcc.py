"""Matthews correlation coefficient (1975, doi:10.1016/0005-2795(75)90109-9) on the training batches."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register

if TYPE_CHECKING:
    import keras


@register("metric", "mcc")
def mcc() -> "keras.metrics.Metric":
    """Matthews correlation of call and label on the training cells, at score .5."""
    from malaria_exp.components.metric._counts import CountsMetric

    return CountsMetric("mcc")
