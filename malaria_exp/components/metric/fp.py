"""Uninfected cells that are called parasitized."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register

if TYPE_CHECKING:
    import keras


@register("metric", "fp")
def fp() -> "keras.metrics.Metric":
    """Training cells wrongly called parasitized so far in the epoch (false positives)."""
    from malaria_exp.components.metric._counts import CountsMetric

    return CountsMetric("fp")
