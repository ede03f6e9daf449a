"""A loss of your own as a function; malaria_exp/components/loss/_custom_bce.py shows the three ways side by side."""

from typing import TYPE_CHECKING

import numpy as np

from malaria_exp.config.registry import register

if TYPE_CHECKING:
    import keras


@register("loss", "custom_bce_function")
def custom_bce_function(labels: np.ndarray | None = None, /) -> "keras.losses.Loss":  # noqa: ARG001
    """Example of a loss written as a function: binary cross-entropy."""
    from malaria_exp.components.loss._custom_bce import FunctionLoss, custom_binary_crossentropy

    return FunctionLoss(custom_binary_crossentropy)
