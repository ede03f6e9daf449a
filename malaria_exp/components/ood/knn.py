"""Deep nearest neighbors (Sun et al. 2022, https://arxiv.org/abs/2204.06507), at several depths."""

from typing import Annotated

import numpy as np

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Range
from malaria_exp.evaluation.ood import FitPoints


@register("ood", "knn")
def knn(*, cells: Annotated[int, Range(low=1, high=2000)] = 1000) -> FitPoints:
    """Measures how far an image's features lie from those of the training cell that is nearest.

    Args:
        cells: training cells that are kept for comparison; each takes up to 256 bytes a part in the saved model.
    """

    def fit(values: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        return values[np.sort(draw.permutation(len(values))[:cells])]

    return fit
