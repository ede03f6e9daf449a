"""Functions compiled by XLA over any number of images: XLA compiles for a fixed number, so they run on a few images at a time."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

TOGETHER = 16


def in_parts(function: Callable[..., "tf.Tensor"], *columns: "tf.Tensor") -> "tf.Tensor":
    """Calls a compiled function on TOGETHER rows at a time, the last ones filled up with zeros, and returns all results.

    A row's result does not depend on how many rows there are.

    Args:
        function: takes as many tensors (TOGETHER, ...) as there are columns, and returns float32 of the first one's shape.
        *columns: tensors (n, ...) of one length, which may be 0.
    """
    import tensorflow as tf

    count = tf.shape(columns[0])[0]
    number = tf.maximum(-(-count // TOGETHER), 1)
    blocks = []
    for column in columns:
        padded = tf.pad(column, [(0, number * TOGETHER - count)] + [(0, 0)] * (len(column.shape) - 1))
        blocks.append(tf.reshape(padded, tf.concat([[number, TOGETHER], tf.shape(column)[1:]], 0)))
    results = tf.map_fn(lambda block: function(*block), tuple(blocks), fn_output_signature=tf.float32)
    shape = tf.shape(columns[0])
    return tf.reshape(tf.reshape(results, tf.concat([[-1], shape[1:]], 0))[:count], shape)


def compiled(function: Callable[..., "tf.Tensor"], *signature: "tf.TensorSpec") -> Any:
    """Returns a function as a graph, compiled by XLA if this TensorFlow can do so for the CPU; without XLA it is only slower."""
    import tensorflow as tf

    return tf.function(function, jit_compile=_has_xla(), input_signature=list(signature))


@cache
def _has_xla() -> bool:
    import tensorflow as tf

    # This may be called while a pipeline is traced: the trial must not become part of its graph.
    with tf.init_scope(), tf.device("CPU:0"):
        try:
            tf.function(lambda number: number + 1, jit_compile=True)(tf.zeros(()))
        except (tf.errors.OpError, ValueError):
            return False
    return True
