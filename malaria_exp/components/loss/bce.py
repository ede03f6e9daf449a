"""Binary cross-entropy on logits."""

from typing import TYPE_CHECKING

import numpy as np

from malaria_exp.components.loss._smoothing import Smoothing
from malaria_exp.config.registry import register

if TYPE_CHECKING:
    import keras


@register("loss", "bce")
def bce(labels: np.ndarray | None = None, /, *, label_smoothing: Smoothing = 0.1) -> "keras.losses.Loss":  # noqa: ARG001
    """Binary cross-entropy, computed from logits.

    Args:
        label_smoothing: labels 0 and 1 become s/2 and 1 - s/2, so that no label is believed entirely; about 5 % of these
            labels are doubted by experts.
    """
    import keras

    return keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=label_smoothing)
