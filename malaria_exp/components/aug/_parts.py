"""Running what XLA compiled over any number of images, a few at a time: XLA compiles for one number, and groups of images have any."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

TOGETHER = 16


def in_parts(function: Callable[..., "tf.Tensor"], *columns: "tf.Tensor") -> "tf.Tensor":
    """Returns what a compiled function makes of columns (n, ...), called with TOGETHER rows of each at a time.

    The last rows are filled up with zeros. Results do not depend on how many rows there are.

    Args:
        function: takes as many tensors as there are columns, (TOGETHER, ...), and returns float32 of the first one's shape.
        *columns: of one length, which may be 0.
    """
    import tensorflow as tf

    count = tf.shape(columns[0])[0]
    number = tf.maximum(-(-count // TOGETHER), 1)
    parts = []
    for column in columns:
        padded = tf.pad(column, [(0, number * TOGETHER - count)] + [(0, 0)] * (len(column.shape) - 1))
        parts.append(tf.reshape(padded, tf.concat([[number, TOGETHER], tf.shape(column)[1:]], 0)))
    made = tf.map_fn(lambda part: function(*part), tuple(parts), fn_output_signature=tf.float32)
    shape = tf.shape(columns[0])
    return tf.reshape(tf.reshape(made, tf.concat([[-1], shape[1:]], 0))[:count], shape)


def compiled(function: Callable[..., "tf.Tensor"], *signature: "tf.TensorSpec") -> Any:
    """Returns a function as a graph, compiled by XLA where this TensorFlow can do so for the CPU; elsewhere it is slower, that is all."""
    import tensorflow as tf

    return tf.function(function, jit_compile=_has_xla(), input_signature=list(signature))


@cache
def _has_xla() -> bool:
    import tensorflow as tf

    # Asked for while a pipeline is traced, too.
    with tf.init_scope(), tf.device("CPU:0"):
        try:
            tf.function(lambda number: number + 1, jit_compile=True)(tf.zeros(()))
        except (tf.errors.OpError, ValueError):
            return False
    return True
