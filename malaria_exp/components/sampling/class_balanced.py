"""As many parasitized as uninfected cells in an epoch."""

import numpy as np

from malaria_exp.components.sampling._balance import balanced
from malaria_exp.config.registry import register
from malaria_exp.data.sampling import Sampling


@register("sampling", "class_balanced")
def class_balanced(labels: np.ndarray, patients: np.ndarray | None, /) -> Sampling:  # noqa: ARG001
    """An epoch holds as many parasitized as uninfected cells; those of the rarer class come several times."""
    return Sampling(balanced(labels))
