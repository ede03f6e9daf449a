"""Parasitized cells that are called uninfected."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register

if TYPE_CHECKING:
    import keras


@register("metric", "fn")
def fn() -> "keras.metrics.Metric":
    """Training cells wrongly called uninfected so far in the epoch (false negatives)."""
    from malaria_exp.components.metric._counts import CountsMetric

    return CountsMetric("fn")
