"""The sensitivity that a chosen specificity leaves."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Fraction

if TYPE_CHECKING:
    import keras


@register("metric", "sensitivity_at_specificity")
def sensitivity_at_specificity(*, specificity: Fraction = 0.95) -> "keras.metrics.Metric":
    """Best sensitivity on the training cells at any threshold that keeps a specificity of at least so much.

    Args:
        specificity: at least so much.
    """
    from malaria_exp.components.metric._ranking import AtLeast

    return AtLeast("sensitivity", specificity, name="sensitivity_at_specificity")
