"""A metric of your own as a function; malaria_exp/components/metric/_custom_accuracy.py shows the three ways side by side."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register

if TYPE_CHECKING:
    import keras


@register("metric", "custom_accuracy_function")
def custom_accuracy_function() -> "keras.metrics.Metric":
    """Example of a metric written as a function: accuracy."""
    from malaria_exp.components.metric._custom_accuracy import FunctionMetric, custom_accuracy

    return FunctionMetric(custom_accuracy, name="custom_accuracy_function")
