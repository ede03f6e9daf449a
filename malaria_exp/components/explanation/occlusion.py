"""Occlusion maps: what hiding a place changes."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Range
from malaria_exp.deployment.explanations.explained_model import ExplainedModel, Explanation
from malaria_exp.deployment.explanations.occlusion import FULL, PATCH, STRIDE, occlusion_map

Part = Annotated[float, Range(low=0.01, high=1)]


@register("explanation", "occlusion")
def occlusion(*, patch: Part = PATCH, stride: Part = STRIDE) -> Explanation:
    """Occlusion: how much the score falls when a place is hidden under the cell's mean color; for any model (Zeiler & Fergus 2014).

    Args:
        patch: edge of the patch that hides, as a fraction of the image's edge.
        stride: step from a patch to the next, as a fraction of the image's edge; about 1 / stride**2 images are scored for a cell.
    """
    return _Occlusion(patch, stride)


@dataclass(frozen=True)
class _Occlusion:
    patch: float
    stride: float
    least = FULL
    unit = "log-odds lost when hidden"
    caption = (
        "Occlusion hides one patch after the other under the cell's mean color and notes how much the log-odds of parasitized fall. It only"
        " asks the model for scores. A patch is wider than a small parasite, so the color spreads; two parasites can hide each other."
    )

    def __call__(self, model: ExplainedModel, images: np.ndarray) -> np.ndarray:
        """See `Explanation`."""
        return np.stack([occlusion_map(model.score, image, patch=self.patch, stride=self.stride) for image in images])
