"""Uninfected cells that are called so."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register

if TYPE_CHECKING:
    import keras


@register("metric", "tn")
def tn() -> "keras.metrics.Metric":
    """Training cells rightly called uninfected so far in the epoch (true negatives)."""
    from malaria_exp.components.metric._counts import CountsMetric

    return CountsMetric("tn")
