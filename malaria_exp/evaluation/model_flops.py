"""The floating-point operations of a TensorFlow function, operation by operation."""

import math
from typing import Any


def flops_by_operation(concrete: Any) -> dict[str, int]:
    """Returns {name of an operation: floating-point operations it takes}; a multiplication and an addition count as two.

    TensorFlow's profiler counts convolutions, matrix products, additions, multiplications, means, rectifiers and poolings. It does not
    count einsums, which are added here, and a few cheap operations such as sigmoids and paddings, which are missing.

    Args:
        concrete: of `tf.function(...).get_concrete_function(...)`, with known shapes.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    # With weights as constants and inner functions inlined, one graph holds every operation with its shape.
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
    """Returns twice the number of products that an Einsum operation sums."""
    terms, output = op.get_attr("equation").decode().split("->")
    sizes: dict[str, int] = {}
    for term, tensor in zip(terms.split(","), op.inputs, strict=True):
        shape = tensor.shape.as_list()
        before, _, after = term.partition("...")
        sizes |= dict(zip(before, shape, strict=False)) | dict(zip(reversed(after), reversed(shape), strict=False))
    summed = set(sizes) - set(output)
    return 2 * op.outputs[0].shape.num_elements() * math.prod(sizes[label] for label in summed)
