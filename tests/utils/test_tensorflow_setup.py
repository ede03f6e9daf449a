"""How TensorFlow is set up: once, whoever imported it, and so that several jobs share a GPU."""

import subprocess
import sys

import pytest

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


def test_repeatable_also_where_a_module_of_the_users_has_imported_keras_before():
    code = (
        "import keras, tensorflow as tf\n"
        "from malaria_exp.utils.tensorflow_setup import load_tensorflow\n"
        "from tensorflow.python.framework import config\n"
        "print(config.is_op_determinism_enabled()); load_tensorflow(); print(config.is_op_determinism_enabled())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
