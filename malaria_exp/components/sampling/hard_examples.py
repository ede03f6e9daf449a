"""After the first epochs only the cells that are not yet easy."""

from typing import Annotated

import numpy as np

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Count, NonNegative, Range
from malaria_exp.data.sampling import Sampling


@register("sampling", "hard_examples")
def hard_examples(
    labels: np.ndarray,  # noqa: ARG001
    patients: np.ndarray | None,  # noqa: ARG001
    /,
    *,
    warm_epochs: Count = 2,
    warm_steps: Count = 300,
    fraction: Annotated[float, Range(above=0, high=1)] = 0.3,
    noise: NonNegative = 0.15,
) -> Sampling:
    """After the first epochs each epoch holds only the cells with the highest latest losses, and is as much shorter.

    A cell's loss is that of the last training step which held it, augmentation included: it costs no further pass. The idea is that of
    Loshchilov and Hutter 2015 (arXiv:1511.06343) and of Katharopoulos and Fleuret 2018 (arXiv:1803.00942); with Gumbel noise, taking the
    highest is drawing without replacement (Kool et al. 2019, arXiv:1903.06059).

    Args:
        warm_epochs: first epochs, which hold all cells. With 0, and no warm_steps, the first hold a fraction, too: cells without a loss
            come first.
        warm_steps: batches of those epochs together at least, so that of few cells more epochs, or all, hold all cells: a model that has
            not learned yet takes nearly every cell for hard, and learns worse from a part of them.
        fraction: of the cells that each later epoch holds.
        noise: scale of the Gumbel noise that is added to the losses, in standard deviations of all losses; 0 for the highest alone.
    """

    def choose(cells: np.ndarray, losses: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
        known = np.isfinite(losses)
        spread = float(losses[known].std()) if known.any() else 1.0
        # Cells that were not trained on yet come first, in random order; among equals the noise decides, however small.
        rank = np.where(known, losses + noise * spread * rng.gumbel(size=len(cells)), np.inf)
        order = np.lexsort((rng.random(len(cells)), -rank))
        times = np.zeros(len(cells), np.int64)
        times[order[:count]] = 1
        return times

    return Sampling(choose, by_loss=True, whole_epochs=warm_epochs, whole_steps=warm_steps, fraction=fraction)
