"""TensorFlow's profiler writes what TensorBoard reads."""

import keras
import numpy as np
import pytest

from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import build
from malaria_exp.training.callback_context import CallbackContext


def fit(folder, run_steps, *, epochs=1, stop_early=False, **params):
    done = []
    context = CallbackContext(folder, RunLength(epochs, run_steps, 4), "val_auc", None, keras.Variable(1.0), steps_done=lambda: len(done))
    callback = build("callback", "profile", params, context)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(model, "stop_training", stop_early))
    count = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: done.append(batch))
    model.fit(
        np.zeros((4 * run_steps, 3)),
        np.zeros((4 * run_steps, 1)),
        batch_size=4,
        epochs=epochs,
        callbacks=[count, callback, stop],
        verbose=0,
    )
    return callback


@pytest.mark.parametrize(
    ("run_steps", "params", "profiled"),
    [
        (8, {"start": "2 steps", "steps": 3}, 3),
        (4, {}, 4),
        (12, {}, 10),
        # Training that stops early.
        (4, {"start": "1 steps", "steps": 10, "epochs": 5, "stop_early": True}, 3),
    ],
)
def test_so_many_steps_are_profiled_also_in_a_short_run(tmp_path, run_steps, params, profiled):
    callback = fit(tmp_path, run_steps, **params)
    assert len(callback.inside) == profiled and not callback.running
    (trace,) = (tmp_path / "profile").rglob("*.xplane.pb")
    assert trace.stat().st_size > 1000
