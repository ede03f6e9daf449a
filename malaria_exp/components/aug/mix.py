"""MixUp or CutMix or neither, by chance."""

from typing import TYPE_CHECKING

from malaria_exp.components.aug._mixing import Mixer, Per, mixing
from malaria_exp.config.registry import register
from malaria_exp.config.validation import Duration, Positive, Probability
from malaria_exp.data.augmentation_chain import Augmentation
from malaria_exp.utils.errors import ConfigError

if TYPE_CHECKING:
    import tensorflow as tf


@register("aug", "mix")
def mix(
    *,
    mixup: Probability = 0.4,
    cutmix: Probability = 0.4,
    mixup_alpha: Positive = 0.2,
    mixup_beta: Positive = 0.2,
    cutmix_alpha: Positive = 0.2,
    cutmix_beta: Positive = 0.2,
    per: Per = "pair",
    until: Duration | None = None,
) -> Augmentation:
    """Mixes each cell with another of the batch by MixUp or by CutMix, or leaves it; see those two.

    Args:
        mixup: probability of MixUp.
        cutmix: probability of CutMix; the rest to 1 is the probability of neither.
        mixup_alpha: under MixUp a cell keeps a fraction of itself that is drawn from Beta(mixup_alpha, mixup_beta).
        mixup_beta: see mixup_alpha.
        cutmix_alpha: under CutMix the box has the area 1 - fraction, the fraction drawn from Beta(cutmix_alpha, cutmix_beta).
        cutmix_beta: see cutmix_alpha.
        per: whether the choice, fraction and box are drawn for each pair, or once for the whole batch.
        until: mixing ends after this duration, such as '80%' (of the run) or '10 epochs'; null: never.
    """
    if mixup + cutmix > 1:
        raise ConfigError(f"aug.mix: expected mixup + cutmix of at most 1, received {mixup:g} + {cutmix:g} = {mixup + cutmix:g}.")

    def mixup_or_cutmix(mixer: Mixer, images: "tf.Tensor", labels: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        choice = mixer.uniform()
        by_mixup, by_cutmix = choice < mixup, (choice >= mixup) & (choice < mixup + cutmix)
        # No image is chosen by both, and what is not chosen stays as it is, so the one can follow the other.
        blended = mixer.mixup(images, labels, mixer.fractions(mixup_alpha, mixup_beta), by_mixup)
        return mixer.cutmix(*blended, mixer.fractions(cutmix_alpha, cutmix_beta), by_cutmix, partners=(images, labels))

    return mixing(mixup_or_cutmix, per, until)
