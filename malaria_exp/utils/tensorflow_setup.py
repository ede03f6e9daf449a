"""Loading TensorFlow once, set up for this project, without the lines that its libraries write before they can be told to be quiet."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# This process, once it is set up. A user's module may have imported TensorFlow before.
_done: list[int] = []


def load_tensorflow() -> None:
    """Imports TensorFlow and Keras, finds the devices, lets jobs share a GPU and makes kernels repeatable; later calls cost nothing."""
    if _done:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _held_back_stderr():
        import keras  # noqa: F401
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
    # Its warnings speak to whoever writes the code, and would stand in the midst of the user's progress.
    tf.get_logger().setLevel("ERROR")
    # On a GPU some kernels add in another order each time; the same seed shall give the same weights.
    set_repeatable(True)
    for gpu in gpus:
        # Without it the first of several jobs on a GPU takes all of its memory.
        with suppress(RuntimeError):  # TensorFlow computed something before it was asked: a user's module, while it was imported
            tf.config.experimental.set_memory_growth(gpu, True)
    _done.append(os.getpid())


def set_repeatable(wanted: bool) -> None:
    """Makes TensorFlow compute with kernels that give the same bits each time, or lets it take any, from now on."""
    import tensorflow as tf
    from tensorflow.python.framework.config import disable_op_determinism  # TensorFlow has no public way back.

    if wanted:
        tf.config.experimental.enable_op_determinism()
    else:
        disable_op_determinism()


@contextmanager
def _held_back_stderr() -> Iterator[None]:
    """Holds back what compiled code writes to standard error, and lets it out only if the block fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
