"""Counts and rates at score .5 of the training cells so far in the epoch."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register

if TYPE_CHECKING:
    import keras


def _metric(rate: str) -> "keras.metrics.Metric":
    from malaria_exp.components.metric._counts import CountsMetric

    return CountsMetric(rate)


@register("metric", "tp")
def tp() -> "keras.metrics.Metric":
    """True positives: parasitized training cells predicted parasitized so far in the epoch."""
    return _metric("tp")


@register("metric", "fp")
def fp() -> "keras.metrics.Metric":
    """False positives: uninfected training cells predicted parasitized so far in the epoch."""
    return _metric("fp")


@register("metric", "tn")
def tn() -> "keras.metrics.Metric":
    """True negatives: uninfected training cells predicted uninfected so far in the epoch."""
    return _metric("tn")


@register("metric", "fn")
def fn() -> "keras.metrics.Metric":
    """False negatives: parasitized training cells predicted uninfected so far in the epoch."""
    return _metric("fn")


@register("metric", "accuracy")
def accuracy() -> "keras.metrics.Metric":
    """Fraction of the training cells predicted right, at score .5; a smoothed or mixed label counts as what it mostly is."""
    return _metric("accuracy")


@register("metric", "sensitivity")
def sensitivity() -> "keras.metrics.Metric":
    """Fraction of the parasitized training cells predicted parasitized (recall), at score .5."""
    return _metric("sensitivity")


@register("metric", "specificity")
def specificity() -> "keras.metrics.Metric":
    """Fraction of the uninfected training cells predicted uninfected, at score .5."""
    return _metric("specificity")


@register("metric", "ppv")
def ppv() -> "keras.metrics.Metric":
    """Fraction parasitized of the training cells predicted so (positive predictive value, precision), at score .5."""
    return _metric("ppv")


@register("metric", "npv")
def npv() -> "keras.metrics.Metric":
    """Fraction uninfected of the training cells predicted so (negative predictive value), at score .5."""
    return _metric("npv")


@register("metric", "f1")
def f1() -> "keras.metrics.Metric":
    """F1, the harmonic mean of sensitivity and precision on the training cells, at score .5."""
    return _metric("f1")


@register("metric", "mcc")
def mcc() -> "keras.metrics.Metric":
    """Matthews correlation (1975, doi:10.1016/0005-2795(75)90109-9) of prediction and label on the training cells, at score .5."""
    return _metric("mcc")
