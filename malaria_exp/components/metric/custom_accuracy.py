"""A metric of your own as a class, a function and a function factory: _custom_accuracy.py shows the three ways side by side."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Positive

if TYPE_CHECKING:
    import keras


@register("metric", "custom_accuracy_class")
def custom_accuracy_class(*, factor: Positive = 1.0) -> "keras.metrics.Metric":
    """Example of a metric written as a class: accuracy times a factor.

    Args:
        factor: what the accuracy is multiplied by; 100 makes it percent.
    """
    from malaria_exp.components.metric._custom_accuracy import CustomAccuracy

    return CustomAccuracy(factor, name="custom_accuracy_class")


@register("metric", "custom_accuracy_function")
def custom_accuracy_function() -> "keras.metrics.Metric":
    """Example of a metric written as a function: accuracy."""
    from malaria_exp.components.metric._custom_accuracy import FunctionMetric, custom_accuracy

    return FunctionMetric(custom_accuracy, name="custom_accuracy_function")


@register("metric", "custom_accuracy_factory")
def custom_accuracy_factory(*, factor: Positive = 1.0) -> "keras.metrics.Metric":
    """Example of a metric written as a function factory: accuracy times a factor.

    Args:
        factor: what the accuracy is multiplied by; 100 makes it percent.
    """
    from malaria_exp.components.metric._custom_accuracy import FactoryMetric

    return FactoryMetric(factor, name="custom_accuracy_factory")
