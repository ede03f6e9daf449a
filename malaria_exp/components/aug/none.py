"""No augmentation."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register
from malaria_exp.data.augmentation_chain import Augmentation

if TYPE_CHECKING:
    import tensorflow as tf


@register("aug", "none")
def none() -> Augmentation:
    """Leaves training batches as they are."""

    def augment(images: "tf.Tensor", labels: "tf.Tensor", seed: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:  # noqa: ARG001
        return images, labels

    return augment
