"""Loading TensorFlow once, set up for this project, without the lines that its libraries print while they are loaded.

What a user's own files and environment say about Keras and matplotlib would change numbers and pictures, or end a run; so the program fixes it.
"""

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from malaria_exp.utils.errors import ConfigError

# What ~/.keras/keras.json or a variable may say otherwise, by the name that it has there. Every run's provenance.json records it.
FIXED: dict[str, Any] = {"backend": "tensorflow", "floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}
# Variables that Keras and matplotlib read while they are imported, and the value that they get; None: the variable is taken away.
ENVIRONMENT = {"KERAS_BACKEND": "tensorflow", "KERAS_MAX_EPOCHS": None, "KERAS_MAX_STEPS_PER_EPOCH": None, "MPLBACKEND": "Agg"}
EVERYTHING = re.compile(rb"(?s).*")
# The lines of compiled code while TensorFlow is imported.
TENSORFLOW_NOISE = re.compile(
    rb"(?m)^(?:WARNING: All log messages before absl|[IWE]\d{4} \d\d:|\d{4}-\d\d-\d\d .*: [IWE] |To enable the following).*\n?"
)
# What the user had set of ENVIRONMENT before it was fixed, where that is something else.
overruled_variables: dict[str, str] = {}
# Holds an entry once this process is set up; TensorFlow alone may have been imported before, by a user's module.
_done: list[int] = []


def load_tensorflow() -> None:
    """Imports TensorFlow and Keras, finds the devices, lets jobs share a GPU and makes kernels repeatable; later calls cost nothing."""
    if _done:
        return
    fix_environment()
    with held_back_stderr():
        try:
            import keras
            import tensorflow as tf
        except (AssertionError, AttributeError, TypeError, ValueError) as error:
            settings = keras_settings()
            if not settings.exists():
                raise
            # Keras and TensorFlow read the file while they are imported, and stop at a value that they do not know.
            raise ConfigError(f"Keras and TensorFlow cannot be loaded with the settings file {settings}. Remove the file.") from error
        gpus = tf.config.list_physical_devices("GPU")
    keras.config.set_floatx(FIXED["floatx"])
    keras.config.set_epsilon(FIXED["epsilon"])
    keras.config.set_image_data_format(FIXED["image_data_format"])
    # Its warnings are meant for programmers, and would interrupt the progress that users see.
    tf.get_logger().setLevel("ERROR")
    # Some GPU kernels add in another order each time; the same seed must give the same weights.
    set_repeatable(True)
    for gpu in gpus:
        # Without it the first of several jobs on a GPU takes all of its memory.
        with suppress(RuntimeError):  # a user's module has computed something with TensorFlow already
            tf.config.experimental.set_memory_growth(gpu, True)
    _done.append(os.getpid())


def fix_environment() -> None:
    """Sets the variables of ENVIRONMENT, before anything imports Keras or matplotlib; what is imported already is left alone."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for name, value in ENVIRONMENT.items():
        if os.environ.get(name, value) != value:
            overruled_variables.setdefault(name, os.environ[name])
        if value is None:
            os.environ.pop(name, None)
        elif name != "MPLBACKEND" or "matplotlib" not in sys.modules:
            os.environ[name] = value


def overruled_settings() -> dict[str, Any]:
    """Returns what Keras' own settings file says otherwise than FIXED, which the program does not follow; empty without a file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no JSON object.
    """
    path = keras_settings()
    if not path.exists():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no JSON object")
    return {name: found[name] for name, value in FIXED.items() if found.get(name, value) != value}


def keras_settings() -> Path:
    """Returns the file in which Keras keeps a user's settings."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "keras.json"


def set_repeatable(wanted: bool) -> None:
    """Makes TensorFlow compute with kernels that give the same bits each time, or lets it take any, from now on."""
    import tensorflow as tf
    from tensorflow.python.framework.config import disable_op_determinism  # TensorFlow has no public way back.

    if wanted:
        tf.config.experimental.enable_op_determinism()
    else:
        disable_op_determinism()


@contextmanager
def held_back_stderr(noise: re.Pattern[bytes] = EVERYTHING) -> Iterator[None]:
    """Holds back what is written to standard error, also by compiled code, and lets it out if the block fails.

    Args:
        noise: what is dropped if the block ends well; the rest is let out.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        except ConfigError:
            failed = False
            raise
        finally:
            sys.stderr.flush()
            held.seek(0)
            text = held.read()
            os.write(kept, text if failed else noise.sub(b"", text))
            os.dup2(kept, 2)
            os.close(kept)
