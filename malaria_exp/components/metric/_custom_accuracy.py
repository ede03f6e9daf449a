"""The same metric written in the three ways that Keras knows: as a class, as a function, and as a function factory.

All three are accuracy; the class and the factory take a factor. A metric must:

- take labels (B, 1) in [0, 1], perhaps smoothed or mixed, and logits (B, 1), in this order;
- add up over batches, so that any batching gives the same value (a mean of the batches' means does not);
- say which way is better (`direction`), so that it can choose the best epoch: trainer.monitor=val_custom_accuracy_class;
- be registered with Keras, so that a saved model can be loaded with it.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from malaria_exp.evaluation.metrics import Direction

Function = Callable[[Any, Any], Any]


# As a class: the sums are variables, which Keras sets to zero at each epoch's start; `result` computes the value from them.
@keras.saving.register_keras_serializable(package="malaria_exp")
class CustomAccuracy(keras.metrics.Metric):
    """Accuracy times `factor`."""

    direction: Direction = "max"

    def __init__(self, factor: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor
        self.right = self.add_variable(shape=(), initializer="zeros", name="right")
        self.total = self.add_variable(shape=(), initializer="zeros", name="total")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch: labels (B, 1), logits (B, 1), weights None, (B,) or (B, 1)."""
        right = custom_accuracy(y_true, y_pred)
        weight = ops.ones_like(right) if sample_weight is None else ops.reshape(ops.cast(sample_weight, "float32"), (-1,))
        self.right.assign_add(ops.sum(right * weight))
        self.total.assign_add(ops.sum(weight))

    def result(self) -> Any:
        """Returns the accuracy of all batches so far times the factor."""
        return self.factor * self.right / self.total

    def get_config(self) -> dict[str, Any]:
        """Returns what rebuilds the metric."""
        return super().get_config() | {"factor": self.factor}


# As a function, the shortest way: it returns a value for each cell, and Keras takes the mean over all cells of all batches.
@keras.saving.register_keras_serializable(package="malaria_exp")
def custom_accuracy(y_true: Any, y_pred: Any) -> Any:
    """Returns float32 (B,): 1 where the predicted class is the label's (the larger fraction of a soft label), else 0."""
    return ops.cast(ops.equal(ops.reshape(y_true, (-1,)) > 0.5, ops.reshape(y_pred, (-1,)) >= 0), "float32")


# As a function factory: a function with a parameter that returns the function.
def make_custom_accuracy(factor: float) -> Function:
    """Returns a function that gives (B,): `factor` where the prediction is right, else 0."""

    def custom_accuracy_times_factor(y_true: Any, y_pred: Any) -> Any:
        return factor * custom_accuracy(y_true, y_pred)

    return custom_accuracy_times_factor


@keras.saving.register_keras_serializable(package="malaria_exp")
class FunctionMetric(keras.metrics.Mean):
    """Makes a Keras metric of a registered function from labels and logits to values (B,): their mean over all cells."""

    direction: Direction = "max"

    def __init__(self, function: Function, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.function = function

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch: labels (B, 1), logits (B, 1), weights None, (B,) or (B, 1)."""
        weight = None if sample_weight is None else ops.reshape(sample_weight, (-1,))
        super().update_state(self.function(y_true, y_pred), weight)

    def get_config(self) -> dict[str, Any]:
        """Returns what rebuilds the metric: the function by its registered name."""
        return super().get_config() | {"function": keras.saving.serialize_keras_object(self.function)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "FunctionMetric":
        """Rebuilds the metric."""
        return cls(**config | {"function": keras.saving.deserialize_keras_object(config["function"])})


@keras.saving.register_keras_serializable(package="malaria_exp")
class FactoryMetric(FunctionMetric):
    """Makes a Keras metric of the function that the factory returns; it has no registered name, so only the factor is saved."""

    def __init__(self, factor: float = 1.0, **kwargs: Any) -> None:
        super().__init__(make_custom_accuracy(factor), **kwargs)
        self.factor = factor

    def get_config(self) -> dict[str, Any]:
        """Returns what rebuilds the metric."""
        return keras.metrics.Mean.get_config(self) | {"factor": self.factor}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "FactoryMetric":
        """Rebuilds the metric."""
        return cls(**config)
