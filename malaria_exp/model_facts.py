"""What a net is made of: its layers with output shapes and parameters, and the operations that scoring a cell takes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class LayerFact:
    """One layer, as it was called.

    Attributes:
        name: of the layer.
        kind: its class, such as "Conv2D".
        shape: of its output without the batch, such as (32, 32, 16).
        parameters: of the layer, 0 where it was called before in the same net.
        inside: names of the nets and blocks around it, from the outermost.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    inside: tuple[str, ...]


def layer_facts(model: "keras.Model") -> list[LayerFact]:
    """Returns the layers in the order in which they compute, of whatever kind the model is.

    They are recorded while the net scores one black image: a subclassed model says nothing about its layers otherwise.
    """
    calls: list[LayerFact] = []
    with _recording(calls):
        model(np.zeros((1, *model.input_shape[1:]), np.float32), training=False)
    seen: set[tuple[str, ...]] = set()
    facts = []
    for call in calls:
        where = (*call.inside, call.name)
        facts.append(call if where not in seen else LayerFact(call.name, call.kind, call.shape, 0, call.inside))
        seen.add(where)
    return [fact for fact in facts if fact.kind != "InputLayer"]


@contextmanager
def _recording(calls: list[LayerFact]) -> Iterator[None]:
    """Notes every layer that computes by itself; one that calls others is a block around them."""
    import keras

    original, around = keras.layers.Layer.__call__, []

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        before = len(calls)
        around.append(layer.name)
        try:
            result = original(layer, *args, **kwargs)
        finally:
            around.pop()
        # Attention is one layer to a reader, though Keras makes it of projections.
        whole = type(layer).__name__ == "MultiHeadAttention"
        if (len(calls) == before or whole) and hasattr(result, "shape"):
            del calls[before:]
            # The outermost is the model itself.
            calls.append(LayerFact(layer.name, type(layer).__name__, tuple(result.shape[1:]), layer.count_params(), tuple(around[1:])))
        return result

    keras.layers.Layer.__call__ = call
    try:
        yield
    finally:
        keras.layers.Layer.__call__ = original


def flops(model: "keras.Model") -> int:
    """Returns the floating-point operations of scoring one cell: a multiplication and an addition count as two.

    Counted by TensorFlow's profiler in the graph of one cell, so that it holds for any model. It knows convolutions, matrix products,
    additions, multiplications, normalisations and poolings; a few cheap operations it does not know count as none.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    image = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32)
    concrete = tf.function(lambda images: model(images, training=False)).get_concrete_function(image)
    frozen = convert_variables_to_constants_v2(concrete)
    options = (
        tf.compat.v1.profiler.ProfileOptionBuilder(tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()).with_empty_output().build()
    )
    counted = tf.compat.v1.profiler.profile(graph=frozen.graph, cmd="op", options=options)
    return int(counted.total_float_ops)
