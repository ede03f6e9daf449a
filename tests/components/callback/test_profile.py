"""TensorFlow's profiler writes what TensorBoard reads."""

import keras
import numpy as np
import pytest

from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import build
from malaria_exp.training.callback_context import CallbackContext


def fit(tmp_path, run_steps, **params):
    course = CallbackContext(tmp_path, RunLength(1, run_steps, 4), "val_auc", None, keras.Variable(1.0))
    callback = build("callback", "profile", params, course)
    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    net.compile("sgd", "mse")
    net.fit(np.zeros((4 * run_steps, 3)), np.zeros((4 * run_steps, 1)), batch_size=4, callbacks=[callback], verbose=0)
    return callback


@pytest.mark.parametrize(("run_steps", "params", "profiled"), [(8, {"start": "2 steps", "steps": 3}, 3), (4, {}, 4), (12, {}, 10)])
def test_so_many_steps_are_profiled_also_in_a_short_run(tmp_path, run_steps, params, profiled):
    callback = fit(tmp_path, run_steps, **params)
    assert len(callback.inside) == profiled
    assert not callback.running
    (trace,) = (tmp_path / "profile").rglob("*.xplane.pb")
    assert trace.stat().st_size > 1000


def test_training_that_stops_early_still_leaves_a_profile(tmp_path):
    course = CallbackContext(tmp_path, RunLength(5, 4, 4), "val_auc", None, keras.Variable(1.0))
    callback = build("callback", "profile", {"start": "1 steps", "steps": 10}, course)
    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    net.compile("sgd", "mse")
    stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(net, "stop_training", True))
    net.fit(np.zeros((16, 3)), np.zeros((16, 1)), batch_size=4, epochs=5, callbacks=[callback, stop], verbose=0)
    assert len(callback.inside) == 3
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))
