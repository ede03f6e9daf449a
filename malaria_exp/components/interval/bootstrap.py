"""Intervals by resampling patients."""

from malaria_exp.config.registry import register
from malaria_exp.evaluation.intervals.bootstrap import PatientBootstrap
from malaria_exp.evaluation.intervals.interval_interface import IntervalMethod


@register("interval", "bootstrap")
def bootstrap() -> IntervalMethod:
    """Expanded percentile intervals (Hesterberg 2015) of a bootstrap over patients, with evaluation.resamples resamples."""
    return PatientBootstrap()
