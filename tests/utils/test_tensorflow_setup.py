"""How TensorFlow is set up: once, whoever imported it, and so that several jobs share a GPU."""

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


def test_repeatable_also_where_a_module_of_the_users_has_imported_keras_before(as_in_a_new_process):
    import keras  # noqa: F401
    from tensorflow.python.framework import config

    tensorflow_setup.set_repeatable(False)
    tensorflow_setup.load_tensorflow()
    assert config.is_op_determinism_enabled()
