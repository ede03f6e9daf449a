"""Binary cross-entropy on logits."""

from typing import TYPE_CHECKING, Annotated

import numpy as np

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Range

if TYPE_CHECKING:
    import keras


@register("loss", "bce")
def bce(labels: np.ndarray | None = None, /, *, label_smoothing: Annotated[float, Range(low=0, below=1)] = 0.1) -> "keras.losses.Loss":  # noqa: ARG001
    """Binary cross-entropy, computed from logits.

    Args:
        label_smoothing: labels 0 and 1 become s/2 and 1 - s/2, so that the model does not fit wrong labels with certainty; experts
            doubt about 5 % of the labels of NIH's cells.
    """
    import keras

    return keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=label_smoothing)
