"""Metrics over all thresholds of the training cells so far in the epoch."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Fraction

if TYPE_CHECKING:
    import keras


@register("metric", "auc")
def auc() -> "keras.metrics.Metric":
    """Area under the ROC curve on the training cells so far in the epoch, from a histogram of their logits."""
    from malaria_exp.components.metric._ranking import AUC

    return AUC(name="auc")


@register("metric", "sensitivity_at_specificity")
def sensitivity_at_specificity(*, specificity: Fraction = 0.95) -> "keras.metrics.Metric":
    """Best sensitivity on the training cells at any threshold that keeps a specificity of at least so much.

    Args:
        specificity: at least so much.
    """
    from malaria_exp.components.metric._ranking import AtLeast

    return AtLeast("sensitivity", specificity, name="sensitivity_at_specificity")


@register("metric", "specificity_at_sensitivity")
def specificity_at_sensitivity(*, sensitivity: Fraction = 0.95) -> "keras.metrics.Metric":
    """Best specificity on the training cells at any threshold that keeps a sensitivity of at least so much.

    Args:
        sensitivity: at least so much.
    """
    from malaria_exp.components.metric._ranking import AtLeast

    return AtLeast("specificity", sensitivity, name="specificity_at_sensitivity")
