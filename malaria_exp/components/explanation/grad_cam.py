"""Grad-CAM (Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391) of any Keras model."""

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from malaria_exp.config.registry import register
from malaria_exp.data.resize import ResizeRule
from malaria_exp.data.seeds import to_unit
from malaria_exp.deployment.explanations.explained_model import ExplainedModel, Explanation
from malaria_exp.deployment.explanations.overlay import to_cell
from malaria_exp.evaluation.layer_calls import replaced_calls
from malaria_exp.utils.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# Places along the edge of the map that a layer must have to be chosen: with fewer a map cannot tell one part of a cell from another.
PLACES = 7


@register("explanation", "grad_cam")
def grad_cam(*, layer: str | None = None) -> Explanation:
    """Grad-CAM: where the features that the logit grows with are found, in a late layer's coarse map.

    Args:
        layer: name or path of the layer whose output is weighed; null for the last one that still has at least 7 x 7 places and is no
            convolution before its activation.
    """
    return _GradCam(layer)


@dataclass(frozen=True)
class _GradCam:
    layer: str | None
    least = 1e-6
    unit = "weighted features"
    caption = (
        "Grad-CAM takes the features of a late layer, weighs each by how much the score grows with it, and adds them up. Its places are"
        " coarse, a few pixels of the cell each, and what the layers after that one do with a place is not seen."
    )

    def __call__(self, model: ExplainedModel, images: np.ndarray) -> np.ndarray:
        """See `Explanation`."""
        import tensorflow as tf

        chosen = [_choose(part, images[:1], self.layer) for part in parts_of(model.network)]
        outputs: list[tf.Tensor] = []
        with tf.GradientTape() as tape:

            def watch(layer: "keras.Layer", call: Callable[..., Any]) -> Callable[..., Any]:
                def watched(*args: Any, **kwargs: Any) -> Any:
                    output = call(*args, **kwargs)
                    tape.watch(output)
                    outputs.append(output)
                    return output

                return watched if any(layer is one for one in chosen) else call

            with replaced_calls(model.network, watch):
                logits = model.network(to_unit(tf.constant(images)), training=False)
        # Of an output that the logit does not depend on the gradients are zero.
        gradients = tape.gradient(logits, outputs, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        # Members that look at several views of a cell have it as it lies first.
        maps = [_weigh(output[: len(images)], gradient[: len(images)]) for output, gradient in zip(outputs, gradients, strict=True)]
        # Members may have maps of different sizes.
        edge = max(one.shape[1] for one in maps)
        rule = ResizeRule(edge, "stretch")
        return np.sum([[to_cell(values, (edge, edge), rule) for values in one] for one in maps], axis=0)


def _weigh(output: "tf.Tensor", gradient: "tf.Tensor") -> np.ndarray:
    """Returns the map (B, m, m): the features of each place, weighed by their mean gradients; no ReLU, as "against" counts too."""
    features, slopes = output.numpy().astype(np.float64), gradient.numpy().astype(np.float64)
    edge = _edge(features.shape)
    features, slopes = (values.reshape(len(values), edge * edge, values.shape[-1]) for values in (features, slopes))
    return np.einsum("bpc,bc->bp", features, slopes.mean(axis=1)).reshape(-1, edge, edge)


def parts_of(network: "keras.Model") -> "list[keras.Model]":
    """Returns the members of an ensemble, each of which takes the image and gives a logit; any other model is one part."""
    import keras

    members = []
    for layer in network.layers:
        # A layer that only the model's own code calls has no output before it is called.
        with suppress(AttributeError, ValueError):
            if isinstance(layer, keras.Model) and tuple(layer.output.shape) == (None, 1):
                members.append(layer)
    return members or [network]


def _choose(part: "keras.Model", image: np.ndarray, name: str | None) -> "keras.Layer":
    """Returns the layer whose output is weighed; a ConfigError if there is none."""
    found: list[tuple[keras.Layer, int]] = []

    def note(layer: "keras.Layer", call: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any, **kwargs: Any) -> Any:
            output = call(*args, **kwargs)
            if (edge := _edge(tuple(getattr(output, "shape", ())))) > 1:
                found.append((layer, edge))
            return output

        return noted

    with replaced_calls(part, note):
        part(image.astype(np.float32) / 255, training=False)
    if not found:
        raise ConfigError(
            f"explanation.grad_cam: no layer of '{part.name}' gives a map of places, (B, m, m, C) or tokens (B, m * m, C), so there is nothing to"
            " weigh. Leave it out: explanation=[occlusion,integrated_gradients]"
        )
    if name is not None:
        own = [layer for layer, _ in found if name in (layer.name, layer.path)]
        if not own:
            names = list(dict.fromkeys(layer.name for layer, _ in found))
            raise ConfigError(
                f"explanation.grad_cam.layer: no layer '{name}' of '{part.name}' gives a map of places.{did_you_mean(name, names)}"
                f" Those that do: {', '.join(names)}."
            )
        return own[-1]
    done = [one for one in found if not _unfinished(one[0])] or found
    least = min(PLACES, max(edge for _, edge in done))
    return next(layer for layer, edge in reversed(done) if edge >= least)


def _unfinished(layer: "keras.Layer") -> bool:
    """Tells whether a layer's output is on the way to features: a convolution without activation, or the padding before one."""
    import keras

    bare = hasattr(layer, "kernel_size") and getattr(layer, "activation", None) is keras.activations.linear
    return bare or isinstance(layer, keras.layers.ZeroPadding2D)


def _edge(shape: tuple[int | None, ...]) -> int:
    """Returns the edge of the map that an output has, (B, m, m, C) or tokens (B, m * m, C); 0 if it is none."""
    if len(shape) == 4 and shape[1] == shape[2]:
        return int(shape[1] or 0)
    if len(shape) == 3 and (tokens := int(shape[1] or 0)) == math.isqrt(tokens) ** 2:
        return math.isqrt(tokens)
    return 0
