"""A model's layers: what each reads, its output shape, its parameters, and the floating-point operations (FLOPs) that scoring a cell takes.

All is read from the graph that TensorFlow traces of scoring one cell. So it also holds for subclassed models, which do not tell Keras how
their layers are connected, and for additions outside any layer.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from malaria_exp.evaluation.layer_calls import Call, replaced_calls
from malaria_exp.evaluation.model_flops import flops_by_operation

if TYPE_CHECKING:
    import keras

IMAGE = -1
# TensorFlow operations that join two branches, and the Keras layer that does the same.
MERGES = {
    "Add": "Add",
    "AddV2": "Add",
    "AddN": "Add",
    "Mul": "Multiply",
    "Sub": "Subtract",
    "ConcatV2": "Concatenate",
    "Maximum": "Maximum",
    "Minimum": "Minimum",
}


@dataclass(frozen=True)
class LayerFact:
    """One call of a layer, or an operation outside the layers that joins two branches, such as the addition of a residual block.

    Attributes:
        name: of the layer.
        kind: its class, such as "Conv2D".
        detail: kernel, stride and activation where it has them: "3x3, stride 2, relu".
        shape: of its output without the batch, such as (32, 32, 16).
        parameters: of the layer, trained and not; 0 where its weights were counted at an earlier call.
        flops: of this call for one cell, with the operations outside any layer that follow it.
        inside: names of the models and blocks that contain it, from the outermost.
        reads: where its input comes from: positions in the list of layers, or IMAGE.
    """

    name: str
    kind: str
    detail: str
    shape: tuple[int, ...]
    parameters: int
    flops: int
    inside: tuple[str, ...]
    reads: tuple[int, ...]


@dataclass(frozen=True)
class ModelFacts:
    """The summary of a model.

    Attributes:
        input_shape: of one image, (height, width, channels).
        layers: in the order in which they compute.
        parameters: of the whole model, trained and not.
        flops: floating-point operations of scoring one cell; a multiplication and an addition count as two.
    """

    input_shape: tuple[int, ...]
    layers: tuple[LayerFact, ...]
    parameters: int
    flops: int


def model_facts(model: "keras.Model") -> ModelFacts:
    """Returns the summary of a model that knows its `input_shape` and takes float32 images (B, H, W, C)."""
    import tensorflow as tf

    shape = tuple(model.input_shape[1:])
    with _recording(model) as calls:
        traced = tf.function(lambda images: model(images, training=False), autograph=False)
        concrete = traced.get_concrete_function(tf.TensorSpec((1, *shape), tf.float32))
    operations = concrete.graph.get_operations()
    rows, owner = _read_graph(calls, operations, concrete.inputs[0].op)
    flops = [0] * len(rows)
    counted = flops_by_operation(concrete)
    for operation, number in counted.items():
        name = operation
        # The operations of a tf.function inside the graph are named "<function>/<operation>".
        while name not in owner and "/" in name:
            name = name.rpartition("/")[0]
        flops[owner.get(name, 0)] += number
    layers = tuple(replace(row, flops=number) for row, number in zip(rows, flops, strict=True))
    return ModelFacts(shape, layers, model.count_params(), sum(counted.values()))


@dataclass(frozen=True)
class _Call:
    """A call of a layer.

    Attributes:
        layer: the layer.
        first: number of the first operation made in it.
        end: number of the operation after its last one; equal to `first` if it made none.
        output: its output, or the first of several.
        inside: names of the models and blocks that contain it.
        block: whether it called other layers.
        parameters: of its weights that no earlier call had.
    """

    layer: Any
    first: int
    end: int
    output: Any
    inside: tuple[str, ...]
    block: bool
    parameters: int = 0


@contextmanager
def _recording(model: "keras.Model") -> Iterator[list[_Call]]:
    """Gives a list in which every call of one of the model's layers is noted inside the block, the calls in a layer before its own."""
    calls: list[_Call] = []
    around: list[str] = []
    with replaced_calls(model, lambda layer, original: _recorded(layer, original, calls, around)):
        yield calls


def _recorded(layer: "keras.Layer", original: Call, calls: list[_Call], around: list[str]) -> Call:
    """Returns the layer's `call`, which notes itself in `calls`; `around` has the names of the layers that are computing."""
    import keras
    import tensorflow as tf

    def call(*args: Any, **kwargs: Any) -> Any:
        graph = tf.compat.v1.get_default_graph()
        before, first = len(calls), len(graph.get_operations())
        around.append(layer.name)
        try:
            result = original(*args, **kwargs)
        finally:
            around.pop()
        # Several layers that Keras combines into one, such as the projections of attention, are one layer to a reader.
        if type(layer).__module__.startswith("keras.") and not isinstance(layer, keras.Model):
            del calls[before:]
        outputs = [item for item in keras.tree.flatten(result) if hasattr(item, "op")]
        if outputs:
            # The outermost name is the model's own.
            calls.append(_Call(layer, first, len(graph.get_operations()), outputs[0], tuple(around[1:]), len(calls) > before))
        return result

    return call


def _with_parameters(calls: Sequence[_Call]) -> list[_Call]:
    """Returns the calls with their parameters, each weight counted once; blocks only if they have weights that no layer inside has."""
    counted: set[int] = set()
    kept = []
    for call in calls:
        own = [weight for weight in call.layer.weights if id(weight) not in counted]
        counted.update(id(weight) for weight in own)
        if own or not call.block:
            kept.append(replace(call, parameters=sum(math.prod(weight.shape) for weight in own)))
    return kept


def _read_graph(calls: Sequence[_Call], operations: Sequence[Any], image: Any) -> tuple[list[LayerFact], dict[str, int]]:
    """Returns the rows, without FLOPs, and {name of an operation: the row it belongs to}."""
    rows: list[LayerFact] = []
    owner: dict[str, int] = {}
    # {operation: the rows that its output was computed from}.
    sources: dict[Any, frozenset[int]] = {image: frozenset({IMAGE})}
    waiting = _with_parameters(calls)
    number = 0
    while number < len(operations) or waiting:
        if waiting and (waiting[0].end if waiting[0].block else waiting[0].first) <= number:
            call = waiting.pop(0)
            made = [] if call.block else operations[call.first : call.end]
            number = max(number, call.end)
            # A layer without an operation, such as dropout outside training, returns its input.
            read = [source for op in made for source in _inputs(op, sources)] or [sources.get(call.output.op, frozenset())]
            row = LayerFact(
                call.layer.name,
                type(call.layer).__name__,
                describe_layer(call.layer),
                _shape(call.output),
                call.parameters,
                0,
                call.inside,
                (),
            )
        else:
            made = [operations[number]]
            number += 1
            read = _inputs(made[0], sources)
            if len(set(read)) < 2:
                # It joins no branches, so it belongs to the layer before it.
                owner[made[0].name] = max(len(rows) - 1, 0)
                sources |= dict.fromkeys(made, read[0]) if read else {}
                continue
            row = LayerFact(
                made[0].name.rpartition("/")[2],
                MERGES.get(made[0].type, made[0].type),
                "",
                _shape(made[0].outputs[0]),
                0,
                0,
                _around(number - 1, calls),
                (),
            )
        rows.append(replace(row, reads=tuple(sorted(frozenset().union(*read)))))
        sources |= dict.fromkeys(made or [call.output.op], frozenset({len(rows) - 1}))
        owner |= dict.fromkeys([op.name for op in made], len(rows) - 1)
    return rows, owner


def _inputs(op: Any, sources: dict[Any, frozenset[int]]) -> list[frozenset[int]]:
    """Returns the sources of each input; inputs that do not depend on the image, such as weights, have none."""
    found = (sources.get(tensor.op) for tensor in op.inputs)
    return [source for source in found if source]


def _around(number: int, calls: Sequence[_Call]) -> tuple[str, ...]:
    """Returns the names of the blocks that contain the operation of this number."""
    holding = [call for call in calls if call.first <= number < call.end]
    innermost = min(holding, key=lambda call: call.end - call.first)
    # The last call is the model's own, which is not named.
    return (*innermost.inside, innermost.layer.name) if innermost is not calls[-1] else ()


def _shape(tensor: Any) -> tuple[int, ...]:
    return tuple(tensor.shape[1:])


def describe_layer(layer: Any) -> str:
    """Returns the kernel, stride and activation that a layer has: "3x3, stride 2, relu"."""
    words = []
    kernel, strides = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None), getattr(layer, "strides", None)
    if isinstance(kernel, tuple):
        words.append("x".join(map(str, kernel)))
    if isinstance(strides, tuple) and max(strides) > 1:
        words.append(f"stride {max(strides)}")
    activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
    return ", ".join(words + [activation] * (activation != "linear"))
