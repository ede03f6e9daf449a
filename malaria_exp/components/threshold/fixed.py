"""A threshold that is given, and not chosen on anything."""

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Probability
from malaria_exp.evaluation.thresholds import Threshold


@register("threshold", "fixed")
def fixed(*, value: Probability = 0.5) -> Threshold:
    """The same score for every run, such as .5: where a calibrated score says that parasitized is the more likely class.

    Args:
        value: a cell is predicted parasitized if its score is at least this.
    """
    return Threshold(value, "given")
