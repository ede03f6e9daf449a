"""Binary cross-entropy with a weight for the parasitized class."""

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Positive, Range
from malaria_exp.utils.errors import ConfigError

if TYPE_CHECKING:
    import keras


@register("loss", "weighted_bce")
def weighted_bce(
    labels: np.ndarray,
    /,
    *,
    positive_weight: Positive | Literal["balanced"] = "balanced",
    label_smoothing: Annotated[float, Range(low=0, below=1)] = 0.1,
) -> "keras.losses.Loss":
    """Binary cross-entropy in which parasitized cells count more, or less.

    Args:
        positive_weight: how many uninfected cells a parasitized one counts for; balanced takes the number of uninfected over that of
            parasitized cells of the training patients, so that both classes count the same in total.
        label_smoothing: labels 0 and 1 become s/2 and 1 - s/2.

    Raises:
        ConfigError: balanced, and one class is missing among the training cells.
    """
    from malaria_exp.components.loss._on_logits import WeightedBinaryCrossentropy

    weight = balanced_weight(labels) if positive_weight == "balanced" else positive_weight
    return WeightedBinaryCrossentropy(weight, label_smoothing)


def balanced_weight(labels: np.ndarray) -> float:
    """Returns negatives / positives of the training labels, int8 (N,), 1 = parasitized."""
    positives = int(np.count_nonzero(labels))
    negatives = len(labels) - positives
    if not positives or not negatives:
        raise ConfigError(
            f"loss.positive_weight: 'balanced' needs cells of both classes in the training subset, which holds {positives:,} parasitized"
            f" and {negatives:,} uninfected. Give a number, or another split."
        )
    return negatives / positives
