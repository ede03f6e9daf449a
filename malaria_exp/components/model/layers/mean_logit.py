"""The last layer of ensemble: the mean of its members."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="malaria_exp")
class MeanLogit(keras.layers.Layer):
    """Averages the logits (B, 1) of several models to one logit (B, 1), float32.

    Args:
        average: "probability": the logit of the mean of the sigmoids; "logit": the mean of the logits.
        **kwargs: of any Keras layer.
    """

    def __init__(self, average: str, **kwargs: Any) -> None:
        super().__init__(**kwargs | {"dtype": "float32"})
        self.average = average

    def call(self, logits: list[Any]) -> Any:
        """Returns the logit."""
        stacked = ops.stack(logits, axis=-1)
        if self.average == "logit":
            return ops.mean(stacked, axis=-1)
        # log p - log(1 - p) of the mean p, by sums of logarithms: also where a sigmoid is 0 or 1 to the last bit.
        return ops.logsumexp(ops.log_sigmoid(stacked), axis=-1) - ops.logsumexp(ops.log_sigmoid(-stacked), axis=-1)

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        """Returns the shape of one of the inputs."""
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        """Returns what rebuilds the layer."""
        return super().get_config() | {"average": self.average}
