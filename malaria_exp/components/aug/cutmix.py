"""CutMix: a box of another cell is pasted into each, and the label follows the pixels."""

from malaria_exp.components.aug._mixing import Per, mixing
from malaria_exp.config.registry import register
from malaria_exp.config.validation import Duration, Positive, Probability
from malaria_exp.data.augmentation_chain import Augmentation


@register("aug", "cutmix")
def cutmix(
    *, alpha: Positive = 0.2, beta: Positive = 0.2, p: Probability = 1.0, per: Per = "pair", until: Duration | None = None
) -> Augmentation:
    """Pastes a box of another cell into each, and mixes the labels by the fraction of pixels pasted (Yun et al. 2019, arXiv 1905.04899).

    Args:
        alpha: the box has the area 1 - fraction, the fraction drawn from Beta(alpha, beta); less is pasted where the edge cuts it off.
        beta: see alpha; 0.2 for both, as in the notebooks, mostly gives fractions near 0 or 1.
        p: probability that a cell is mixed.
        per: whether box and mixing are drawn for each pair, or once for the whole batch.
        until: mixing ends after this duration, such as '80%' (of the run) or '10 epochs'; null: never.
    """
    return mixing(lambda mixer, images, labels: mixer.cutmix(images, labels, mixer.fractions(alpha, beta), mixer.uniform() < p), per, until)
