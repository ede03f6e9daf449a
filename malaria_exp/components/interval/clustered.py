"""Intervals from the spread of patients."""

from malaria_exp.config.registry import register
from malaria_exp.evaluation.intervals.clustered import ClusteredIntervals
from malaria_exp.evaluation.intervals.interval_interface import IntervalMethod


@register("interval", "clustered")
def clustered() -> IntervalMethod:
    """Intervals from the spread of patients: Korn and Graubard's for rates, Obuchowski's for AUC, the same for the others."""
    return ClusteredIntervals()
