"""Scores as the model gives them."""

from malaria_exp.config.registry import register
from malaria_exp.evaluation.calibration import FitCalibration
from malaria_exp.evaluation.logit_map import LogitMap


@register("calibration", "none")
def none() -> FitCalibration:
    """Leaves the scores as the model gives them."""
    return lambda logits, labels: LogitMap()  # noqa: ARG005
