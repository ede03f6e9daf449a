"""The layer of lenet_custom_dense: Dense written by hand."""

from collections.abc import Callable
from typing import Any

import keras


@keras.saving.register_keras_serializable(package="malaria_exp")
class CustomDense(keras.layers.Layer):
    """activation(x @ kernel + bias): (B, n) to (B, units), with Keras' own Dense's first weights.

    Args:
        units: width of the output.
        activation: name or function; None leaves the sum as it is.
        kernel_regularizer: penalty on the kernel, or None.
        **kwargs: of any Keras layer, such as its name or dtype.
    """

    def __init__(
        self,
        units: int,
        activation: str | Callable[..., Any] | None = None,
        kernel_regularizer: "keras.regularizers.Regularizer | dict[str, Any] | None" = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.activation = keras.activations.get(activation)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates kernel (n, units), Glorot uniform, and bias (units,), zero."""
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.units), initializer="glorot_uniform", regularizer=self.kernel_regularizer, name="kernel"
        )
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def call(self, x: "keras.KerasTensor") -> "keras.KerasTensor":
        """Returns the activations, in the layer's compute dtype."""
        return self.activation(keras.ops.matmul(x, self.kernel) + self.bias)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that make the same layer."""
        return {
            **super().get_config(),
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
