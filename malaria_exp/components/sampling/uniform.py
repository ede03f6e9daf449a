"""Every cell once an epoch."""

import numpy as np

from malaria_exp.config.registry import register
from malaria_exp.data.sampling import UNIFORM, Sampling


@register("sampling", "uniform")
def uniform(labels: np.ndarray, patients: np.ndarray | None, /) -> Sampling:  # noqa: ARG001
    """Every training cell once an epoch, in a new order each time."""
    return UNIFORM
