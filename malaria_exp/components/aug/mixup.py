"""MixUp: pairs of cells are blended, their labels with them."""

from malaria_exp.components.aug._mixing import Per, mixing
from malaria_exp.config.registry import register
from malaria_exp.config.validation import Duration, Positive, Probability
from malaria_exp.data.augmentation_chain import Augmentation


@register("aug", "mixup")
def mixup(
    *, alpha: Positive = 0.2, beta: Positive = 0.2, p: Probability = 1.0, per: Per = "pair", until: Duration | None = None
) -> Augmentation:
    """Blends each cell with another of the batch, and their labels equally (Zhang et al. 2017, arXiv 1710.09412).

    Args:
        alpha: a cell keeps a fraction of itself that is drawn from Beta(alpha, beta).
        beta: see alpha; 0.2 for both, as in the notebooks, mostly gives fractions near 0 or 1.
        p: probability that a cell is mixed.
        per: whether fraction and mixing are drawn for each pair, or once for the whole batch.
        until: mixing ends after this duration, such as '80%' (of the run) or '10 epochs'; null: never.
    """
    return mixing(lambda mixer, images, labels: mixer.mixup(images, labels, mixer.fractions(alpha, beta), mixer.uniform() < p), per, until)
