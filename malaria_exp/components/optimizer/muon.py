"""Muon: orthogonalized momentum (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon)."""

from typing import TYPE_CHECKING, Annotated

from malaria_exp.config.registry import register
from malaria_exp.config.validation import NonNegative, Positive, Range
from malaria_exp.training.learning_rate_multiplier import Multiplier
from malaria_exp.training.scheduled_rate import scheduled, spare_norms_and_biases

if TYPE_CHECKING:
    import keras


@register("optimizer", "muon")
def muon(
    multiplier: Multiplier,
    /,
    *,
    learning_rate: Positive = 0.004,
    weight_decay: NonNegative = 0.05,
    momentum: Annotated[float, Range(low=0, below=1)] = 0.95,
    beta_1: Annotated[float, Range(low=0, below=1)] = 0.9,
    beta_2: Annotated[float, Range(low=0, below=1)] = 0.999,
    clip_norm: Positive | None = None,
) -> "keras.optimizers.Optimizer":
    """Kernels move by orthogonalized momentum, all other weights by AdamW; biases and normalizations do not decay.

    A convolution's kernel counts as the matrix (height x width x channels in, channels out); one with a single
    output, as the last layer's, goes to AdamW. Steps are as long as AdamW's (Liu et al. 2025, https://arxiv.org/abs/2502.16982), so
    both use one learning rate.

    Args:
        learning_rate: peak of the schedule.
        weight_decay: each step takes learning rate x weight_decay x weight off the weight.
        momentum: decay of the running mean that is orthogonalized, with Nesterov.
        beta_1: decay of the gradients' running mean, for AdamW.
        beta_2: decay of the squared gradients' running mean, for AdamW.
        clip_norm: all gradients together are scaled down to this norm; null for no clipping.
    """
    from malaria_exp.components.optimizer._kernel_muon import KernelMuon

    return spare_norms_and_biases(
        KernelMuon(
            scheduled(learning_rate, multiplier),
            momentum=momentum,
            adam_beta_1=beta_1,
            adam_beta_2=beta_2,
            weight_decay=weight_decay,
            adam_weight_decay=weight_decay,
            global_clipnorm=clip_norm,
        )
    )
