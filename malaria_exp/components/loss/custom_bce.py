"""A loss of your own as a class, a function and a function factory: _custom_bce.py shows the three ways side by side."""

from typing import TYPE_CHECKING

import numpy as np

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Positive

if TYPE_CHECKING:
    import keras


@register("loss", "custom_bce_class")
def custom_bce_class(labels: np.ndarray | None = None, /, *, factor: Positive = 1.0) -> "keras.losses.Loss":  # noqa: ARG001
    """Example of a loss written as a class: binary cross-entropy times a factor.

    Args:
        factor: what the loss is multiplied by.
    """
    from malaria_exp.components.loss._custom_bce import CustomBinaryCrossentropy

    return CustomBinaryCrossentropy(factor)


@register("loss", "custom_bce_function")
def custom_bce_function(labels: np.ndarray | None = None, /) -> "keras.losses.Loss":  # noqa: ARG001
    """Example of a loss written as a function: binary cross-entropy."""
    from malaria_exp.components.loss._custom_bce import FunctionLoss, custom_binary_crossentropy

    return FunctionLoss(custom_binary_crossentropy)


@register("loss", "custom_bce_factory")
def custom_bce_factory(labels: np.ndarray | None = None, /, *, factor: Positive = 1.0) -> "keras.losses.Loss":  # noqa: ARG001
    """Example of a loss written as a function factory: binary cross-entropy times a factor.

    Args:
        factor: what the loss is multiplied by.
    """
    from malaria_exp.components.loss._custom_bce import FactoryLoss

    return FactoryLoss(factor)
