"""Parasitized cells that are called so."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register

if TYPE_CHECKING:
    import keras


@register("metric", "tp")
def tp() -> "keras.metrics.Metric":
    """Training cells rightly called parasitized so far in the epoch (true positives)."""
    from malaria_exp.components.metric._counts import CountsMetric

    return CountsMetric("tp")
