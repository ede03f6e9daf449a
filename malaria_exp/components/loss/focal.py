"""Focal loss (Lin et al. 2017, https://arxiv.org/abs/1708.02002)."""

from typing import TYPE_CHECKING, Annotated

import numpy as np

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Fraction, NonNegative, Range

if TYPE_CHECKING:
    import keras


@register("loss", "focal")
def focal(
    labels: np.ndarray | None = None,  # noqa: ARG001
    /,
    *,
    gamma: NonNegative = 2.0,
    alpha: Fraction | None = None,
    label_smoothing: Annotated[float, Range(low=0, below=1)] = 0.0,
) -> "keras.losses.Loss":
    """Focal loss: cells that are already predicted right count less.

    Args:
        gamma: how much less: a cell's cross-entropy is multiplied by (1 - probability of its class)^gamma; 0 is binary cross-entropy.
        alpha: weight of parasitized cells, 1 - alpha that of the others; null for equal weights of 1.
        label_smoothing: labels 0 and 1 become s/2 and 1 - s/2.
    """
    from malaria_exp.components.loss._on_logits import FocalLoss

    return FocalLoss(gamma, alpha, label_smoothing)
