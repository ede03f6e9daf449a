"""Gradients of the loss for loggers that show them."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


class LossGradients:
    """Computes the loss' gradients for a batch, without dropout; the model's state stays as it is.

    Args:
        model: images (B, size, size, 3) to logits (B, 1).
        loss: on logits; the model's penalties are added.
    """

    def __init__(self, model: "keras.Model", loss: "keras.losses.Loss") -> None:
        self.model, self.loss = model, loss

    def __call__(self, batch: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
        """Returns {"gradients/" and a weight's path: gradient} for (images, labels) or (images, labels, weights)."""
        values = self._compute(*batch)
        return {f"gradients/{item.path}": value.numpy() for item, value in zip(self.model.trainable_variables, values, strict=True)}

    @cached_property
    def _compute(self) -> Any:
        import tensorflow as tf

        @tf.function(autograph=False)
        def gradients(images: "tf.Tensor", labels: "tf.Tensor", weights: "tf.Tensor | None" = None) -> "list[tf.Tensor]":
            with tf.GradientTape() as tape:
                value = self.loss(labels, self.model(images, training=False), weights) + sum(self.model.losses)
            found = tape.gradient(value, self.model.trainable_variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            # The gradient of an embedding comes as slices.
            return [tf.convert_to_tensor(one) for one in found]

        return gradients
