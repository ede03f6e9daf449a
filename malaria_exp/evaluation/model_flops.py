"""The floating-point operations of a TensorFlow function, operation by operation."""

import math
from typing import Any


def flops_by_operation(concrete: Any) -> dict[str, int]:
    """Returns the operations of a concrete function with how many floating-point operations each takes; none where it is not known.

    A multiplication and an addition count as two. Counted by TensorFlow's profiler, which knows convolutions, matrix products, additions,
    multiplications, means, rectifiers and poolings; a few cheap operations, such as sigmoids and paddings, it does not know, and they count
    as none. Products written as an einsum, which it does not know either, are added.

    Args:
        concrete: of `tf.function(...).get_concrete_function(...)`, with known shapes.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    # With weights as constants and functions of the graph's own spelled out, every operation and its shape stands in one graph.
    graph = convert_variables_to_constants_v2(concrete).graph
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation()).with_empty_output().build()
    counted = {}
    waiting = [profiler.profile(graph=graph, cmd="scope", options=options)]
    while waiting:
        node = waiting.pop()
        waiting.extend(node.children)
        if node.float_ops:
            counted[node.name] = int(node.float_ops)
    return counted | {op.name: einsum_flops(op) for op in graph.get_operations() if op.type == "Einsum"}


def einsum_flops(op: Any) -> int:
    """Returns 2 x the products that an Einsum operation adds up."""
    terms, output = op.get_attr("equation").decode().split("->")
    sizes: dict[str, int] = {}
    for term, tensor in zip(terms.split(","), op.inputs, strict=True):
        shape = tensor.shape.as_list()
        before, _, after = term.partition("...")
        sizes |= dict(zip(before, shape, strict=False)) | dict(zip(reversed(after), reversed(shape), strict=False))
    summed = set(sizes) - set(output)
    return 2 * op.outputs[0].shape.num_elements() * math.prod(sizes[label] for label in summed)
