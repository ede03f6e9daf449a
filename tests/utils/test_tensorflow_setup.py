"""How TensorFlow is set up: once, whoever imported it, so that several jobs share a GPU, and whatever the user's own files say."""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT

from malaria_exp.utils import tensorflow_setup


@pytest.fixture
def as_in_a_new_process(monkeypatch):
    monkeypatch.setattr(tensorflow_setup, "_done", [])


def test_jobs_share_the_memory_of_every_gpu(as_in_a_new_process, monkeypatch):
    import tensorflow as tf

    grown = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["one", "two"] if kind == "GPU" else [])
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda gpu, on: grown.append((gpu, on)))
    for _ in range(2):
        tensorflow_setup.load_tensorflow()
    assert grown == [("one", True), ("two", True)]


def test_a_gpu_that_is_in_use_already_is_no_error(as_in_a_new_process, monkeypatch):
    import tensorflow as tf

    def refuse(gpu, on):
        raise RuntimeError("Physical devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["one"])
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", refuse)
    tensorflow_setup.load_tensorflow()
    assert tensorflow_setup._done


def test_repeatable_also_where_a_module_of_the_users_has_imported_keras_before(as_in_a_new_process):
    import keras  # noqa: F401
    from tensorflow.python.framework import config

    tensorflow_setup.set_repeatable(False)
    tensorflow_setup.load_tensorflow()
    assert config.is_op_determinism_enabled()


SHOW = """
import json
from malaria_exp.utils.tensorflow_setup import FIXED, load_tensorflow
load_tensorflow()
import keras
from malaria_exp.evaluation.plots import style
found = {name: getattr(keras.config, name)() for name in FIXED}
epochs = keras.config.max_epochs()
print(json.dumps([found == FIXED, str(keras.layers.Dense(1).dtype_policy.name), epochs, style.mpl.rcParams["text.usetex"], style.mpl.get_backend().lower()]))
"""


def with_settings(tmp_path, settings):
    """Returns a finished process that loads TensorFlow where the user has these Keras settings, and a matplotlibrc."""
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\n")
    own = {"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "jax", "KERAS_MAX_EPOCHS": "0", "PYTHONPATH": str(ROOT)}
    known = os.environ | own | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    return subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, env=known, cwd=tmp_path, check=False)


@pytest.mark.long
def test_a_users_own_files_and_environment_change_nothing(tmp_path):
    settings = {"floatx": "float64", "epsilon": 0.1, "backend": "theano", "image_data_format": "channels_first"}
    done = with_settings(tmp_path, settings)
    assert done.stderr == ""
    assert json.loads(done.stdout) == [True, "float32", None, False, "agg"]


def test_settings_that_keras_cannot_read_are_named(tmp_path):
    done = with_settings(tmp_path, {"floatx": "float33"})
    assert done.stderr.splitlines()[-1].endswith(f"settings file {tmp_path / 'keras.json'}. Remove the file.")


@pytest.mark.parametrize(
    ("noise", "fails", "shown"),
    [
        (tensorflow_setup.EVERYTHING, False, ""),
        (tensorflow_setup.TENSORFLOW_NOISE, False, "mine\n"),
        (
            tensorflow_setup.TENSORFLOW_NOISE,
            True,
            "mine\n2026-01-02 03:04:05.678: I tensorflow/core/x.cc:210] oneDNN\nI0000 00:00:17 y.cc:1] z\n",
        ),
    ],
)
def test_the_lines_of_compiled_code_are_held_back_unless_it_fails(noise, fails, shown, capfd):
    def write():
        with tensorflow_setup.held_back_stderr(noise):
            os.write(2, b"mine\n2026-01-02 03:04:05.678: I tensorflow/core/x.cc:210] oneDNN\nI0000 00:00:17 y.cc:1] z\n")
            if fails:
                raise ImportError

    if fails:
        with pytest.raises(ImportError):
            write()
    else:
        write()
    assert capfd.readouterr().err == shown
