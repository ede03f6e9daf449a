"""A metric of your own as a function factory; malaria_exp/components/metric/_custom_accuracy.py shows the three ways side by side."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Positive

if TYPE_CHECKING:
    import keras


@register("metric", "custom_accuracy_factory")
def custom_accuracy_factory(*, factor: Positive = 1.0) -> "keras.metrics.Metric":
    """Example of a metric written as a function factory: accuracy times a factor.

    Args:
        factor: what the accuracy is multiplied by; 100 makes it percent.
    """
    from malaria_exp.components.metric._custom_accuracy import FactoryMetric

    return FactoryMetric(factor, name="custom_accuracy_factory")
