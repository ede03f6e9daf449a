"""The same loss written in the three ways that Keras knows: as a class, as a function, and as a function factory.

All three are binary cross-entropy on logits; the class and the factory take a factor. A loss must:

- take labels (B, 1) in [0, 1] and logits (B, 1), in this order;
- return one loss for each cell, (B,), not their mean: Keras multiplies by the sample weights and then takes the mean;
- be registered with Keras, so that a saved model can be loaded with it.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

Function = Callable[[Any, Any], Any]


# As a class: parameters are attributes, and get_config returns them.
@keras.saving.register_keras_serializable(package="malaria_exp")
class CustomBinaryCrossentropy(keras.losses.Loss):
    """Binary cross-entropy on logits times `factor`."""

    def __init__(self, factor: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each cell, (B,)."""
        return self.factor * ops.mean(ops.binary_crossentropy(y_true, y_pred, from_logits=True), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Returns what rebuilds the loss."""
        return super().get_config() | {"factor": self.factor}


# As a function, the shortest way: it has no parameters of its own.
@keras.saving.register_keras_serializable(package="malaria_exp")
def custom_binary_crossentropy(y_true: Any, y_pred: Any) -> Any:
    """Returns the binary cross-entropy of each cell, (B,)."""
    return ops.mean(ops.binary_crossentropy(y_true, y_pred, from_logits=True), axis=-1)


# As a function factory: a function with a parameter that returns the function.
def make_custom_binary_crossentropy(factor: float) -> Function:
    """Returns a function that gives the binary cross-entropy of each cell times `factor`, (B,)."""

    def custom_binary_crossentropy_times_factor(y_true: Any, y_pred: Any) -> Any:
        return factor * custom_binary_crossentropy(y_true, y_pred)

    return custom_binary_crossentropy_times_factor


@keras.saving.register_keras_serializable(package="malaria_exp")
class FunctionLoss(keras.losses.Loss):
    """Makes a Keras loss of a registered function from labels and logits to losses (B,)."""

    def __init__(self, function: Function, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.function = function

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each cell, (B,)."""
        return self.function(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        """Returns what rebuilds the loss: the function by its registered name."""
        return super().get_config() | {"function": keras.saving.serialize_keras_object(self.function)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "FunctionLoss":
        """Rebuilds the loss."""
        return cls(**config | {"function": keras.saving.deserialize_keras_object(config["function"])})


@keras.saving.register_keras_serializable(package="malaria_exp")
class FactoryLoss(FunctionLoss):
    """Makes a Keras loss of the function that the factory returns; it has no registered name, so only the factor is saved."""

    def __init__(self, factor: float = 1.0, **kwargs: Any) -> None:
        super().__init__(make_custom_binary_crossentropy(factor), **kwargs)
        self.factor = factor

    def get_config(self) -> dict[str, Any]:
        """Returns what rebuilds the loss."""
        return keras.losses.Loss.get_config(self) | {"factor": self.factor}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "FactoryLoss":
        """Rebuilds the loss."""
        return cls(**config)
