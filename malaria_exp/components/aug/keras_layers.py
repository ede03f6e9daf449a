"""Keras' preprocessing layers as augmentation: any list of them."""

from typing import TYPE_CHECKING, Any

from malaria_exp.components.aug._per_image import Draws, treat_some
from malaria_exp.config.registry import register
from malaria_exp.config.validation import Probability
from malaria_exp.data.augmentation_chain import Augmentation

if TYPE_CHECKING:
    import tensorflow as tf

NOTEBOOKS: list[dict[str, Any]] = [
    {"RandomRotation": {"factor": 0.25, "fill_mode": "constant"}},
    {"RandomFlip": {"mode": "horizontal_and_vertical"}},
    {"RandomContrast": {"factor": 0.2}},
    {"RandomRot90": {}},
]


@register("aug", "keras_layers")
def keras_layers(*, layers: list[dict[str, Any]] = NOTEBOOKS, p: Probability = 1.0) -> Augmentation:
    """Runs images through preprocessing layers of Keras, in the order given.

    Random numbers come from the run's seed, pixels are in [0, 1] (value_range is set), and the black outside of the cell stays black
    under layers that change colors.

    Args:
        layers: each a layer's name with its arguments, such as {RandomZoom: {height_factor: 0.1}}; RandomRot90 is this project's own.
        p: probability that an image is treated.
    """
    from malaria_exp.components.aug._keras_layers import apply_layers, build_layers

    built = build_layers("aug.keras_layers.layers", layers)

    def augment(images: "tf.Tensor", labels: "tf.Tensor", seed: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        import tensorflow as tf

        if p == 1:
            return apply_layers(built, images, seed), labels
        chosen = Draws(seed, tf.shape(images)[0]).happens(p)
        return treat_some(images, chosen, lambda group, _: apply_layers(built, group, seed)), labels

    return augment
