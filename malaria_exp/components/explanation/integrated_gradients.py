"""Integrated gradients (Sundararajan et al. 2017, https://arxiv.org/abs/1703.01365) of any Keras model."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Range
from malaria_exp.deployment.explanations.explained_model import ExplainedModel, Explanation, inside

Baseline = Literal["mean", "black"]
# A larger gap between the sum of a map and the change of the log-odds, as a fraction of it and in log-odds, doubles the steps, up to three times.
GAP, LEAST_GAP = 0.05, 0.1


@register("explanation", "integrated_gradients")
def integrated_gradients(
    *,
    baseline: Baseline = "mean",
    steps: Annotated[int, Range(low=4, high=1000)] = 32,
    blur: Annotated[float, Range(low=0, high=0.2)] = 0.02,
) -> Explanation:
    """Integrated gradients: what each pixel adds to the log-odds on the way from a cell of one even color to this one.

    Args:
        baseline: what a cell is compared with: mean (itself, everywhere in its mean color) or black (nothing).
        steps: images on the way, at each of which the gradient is taken; up to eight times as many where their sum is not exact to 5%.
        blur: width of the Gaussian that the map is smoothed with, as a fraction of the image's edge; it keeps the sum. 0: none.
    """
    return _IntegratedGradients(baseline, steps, blur)


@dataclass(frozen=True)
class _IntegratedGradients:
    baseline: Baseline
    steps: int
    blur: float
    least = 0.02
    unit = "log-odds added by a pixel"
    caption = (
        "Integrated gradients change the cell step by step from its mean color to what it is, and note what each pixel adds to the log-odds."
        " All pixels together add up to the whole change, so nothing is counted twice. Single pixels are noisy: look at patches of one color."
    )

    def __call__(self, model: ExplainedModel, images: np.ndarray) -> np.ndarray:
        """See `Explanation`; but for rounding and the number of steps, a map sums to the log-odds of the cell minus the baseline's."""
        from scipy.ndimage import gaussian_filter

        maps = np.stack([self._one(model, image) for image in images])
        if not self.blur:
            return maps
        sigma = self.blur * images.shape[1]
        return np.stack([gaussian_filter(one, sigma, mode="reflect") for one in maps])

    def _one(self, model: ExplainedModel, image: np.ndarray) -> np.ndarray:
        cell = image.astype(np.float32) / 255
        own, start = inside(image), np.zeros_like(cell)
        if self.baseline == "mean" and own.any():
            start = np.where(own[..., None], cell[own].mean(axis=0), cell)
        last, first = model.whole(np.stack([cell, start]), training=False).numpy()[:, 0].tolist()
        for steps in (self.steps, 2 * self.steps, 4 * self.steps, 8 * self.steps):
            # The middle of each step: the sum is then exact for gradients that change evenly.
            places = (np.arange(steps, dtype=np.float32) + 0.5) / steps
            gradients = [
                model.gradient(start + part[:, None, None, None] * (cell - start)).numpy() for part in np.split(places, steps // self.steps)
            ]
            found: np.ndarray = (np.mean(gradients, axis=(0, 1), dtype=np.float64) * (cell - start)).sum(axis=2)
            if abs(found.sum() - (last - first)) <= max(LEAST_GAP, GAP * abs(last - first)):
                break
        return found
