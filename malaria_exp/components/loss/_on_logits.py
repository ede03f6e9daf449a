"""The Keras classes behind weighted_bce and focal.

Both take labels (B, 1) in [0, 1], hard or mixed, and logits (B, 1), and return a loss for each cell, (B,): Keras then applies sample
weights and takes the mean. They are written with softplus(z) = log(1 + exp(z)), so that no logit overflows or loses its gradient:
-log p = softplus(-logit) and -log(1 - p) = softplus(logit), with p the probability of parasitized.
"""

from typing import Any

import keras
from keras import ops


def smoothed(labels: Any, label_smoothing: float) -> Any:
    """Returns labels in [0, 1] moved towards 0.5: 0 and 1 become s/2 and 1 - s/2 (Szegedy et al. 2016, arXiv 1512.00567)."""
    return labels * (1 - label_smoothing) + label_smoothing / 2


@keras.saving.register_keras_serializable(package="malaria_exp")
class WeightedBinaryCrossentropy(keras.losses.Loss):
    """Binary cross-entropy in which parasitized cells have a weight.

    Args:
        positive_weight: what the parasitized class' part of the loss is multiplied by.
        label_smoothing: s; labels 0 and 1 become s/2 and 1 - s/2.
        kwargs: of keras.losses.Loss.
    """

    def __init__(self, positive_weight: float, label_smoothing: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.positive_weight, self.label_smoothing = positive_weight, label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each cell, (B,)."""
        labels = smoothed(y_true, self.label_smoothing)
        losses = self.positive_weight * labels * ops.softplus(-y_pred) + (1 - labels) * ops.softplus(y_pred)
        return ops.mean(losses, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Returns what rebuilds the loss."""
        return super().get_config() | {"positive_weight": self.positive_weight, "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable(package="malaria_exp")
class FocalLoss(keras.losses.Loss):
    """Focal loss (Lin et al. 2017, https://arxiv.org/abs/1708.02002), equation 5.

    A soft label mixes the losses of both classes in its fractions, as mixup defines it. Keras' own BinaryFocalCrossentropy clips
    probabilities at 1e-7, and so loses the gradient of the cells that are predicted worst, beyond a logit of 16.

    Args:
        gamma: the exponent of 1 - p.
        alpha: weight of parasitized cells, 1 - alpha that of the others; None for 1 and 1.
        label_smoothing: s; labels 0 and 1 become s/2 and 1 - s/2.
        kwargs: of keras.losses.Loss.
    """

    def __init__(self, gamma: float = 2.0, alpha: float | None = None, label_smoothing: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gamma, self.alpha, self.label_smoothing = gamma, alpha, label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each cell, (B,)."""
        positive = smoothed(y_true, self.label_smoothing)
        negative = 1 - positive
        if self.alpha is not None:
            positive, negative = positive * self.alpha, negative * (1 - self.alpha)
        # (1 - p)^gamma as exp(gamma log(1 - p)): a power of zero has no gradient for gamma below 1.
        missed, found = ops.softplus(-y_pred), ops.softplus(y_pred)
        losses = positive * ops.exp(-self.gamma * found) * missed + negative * ops.exp(-self.gamma * missed) * found
        return ops.mean(losses, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Returns what rebuilds the loss."""
        return super().get_config() | {"gamma": self.gamma, "alpha": self.alpha, "label_smoothing": self.label_smoothing}
