"""Loading TensorFlow once, set up for this project, without the lines that its libraries print while they are loaded."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# Holds an entry once this process is set up; TensorFlow alone may have been imported before, by a user's module.
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
    # Its warnings are meant for programmers, and would interrupt the progress that users see.
    tf.get_logger().setLevel("ERROR")
    # Some GPU kernels add in another order each time; the same seed must give the same weights.
    set_repeatable(True)
    for gpu in gpus:
        # Without it the first of several jobs on a GPU takes all of its memory.
        with suppress(RuntimeError):  # a user's module has computed something with TensorFlow already
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
