"""Intervals by resampling patients."""

from malaria_exp.config.registry import register
from malaria_exp.evaluation.intervals import IntervalMethod, PatientBootstrap


@register("interval", "bootstrap")
def bootstrap() -> IntervalMethod:
    """Percentile intervals of a bootstrap over patients, with evaluation.resamples resamples."""
    return PatientBootstrap()
