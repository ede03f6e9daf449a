"""The specificity that a chosen sensitivity leaves."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Fraction

if TYPE_CHECKING:
    import keras


@register("metric", "specificity_at_sensitivity")
def specificity_at_sensitivity(*, sensitivity: Fraction = 0.95) -> "keras.metrics.Metric":
    """Best specificity on the training cells at any threshold that keeps a sensitivity of at least so much.

    Args:
        sensitivity: at least so much.
    """
    from malaria_exp.components.metric._ranking import AtLeast

    return AtLeast("specificity", sensitivity, name="specificity_at_sensitivity")
