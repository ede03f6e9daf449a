"""A context and a model to drive callbacks with, by hand and by fit."""

import keras
import numpy as np
import pytest

from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import build
from malaria_exp.training.callback_context import CallbackContext

STEPS = 4


class Driver:
    """One callback, told of steps and epochs as the trainers do."""

    def __init__(self, folder, name, epochs=20, **params):
        self.model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="inner"), keras.layers.Dense(1)])
        self.model.compile("sgd", "mse")
        self.context = CallbackContext(
            folder,
            RunLength(epochs, STEPS, 4),
            "val_auc",
            self.model,
            keras.Variable(1.0),
            {"val_own": "min", "val_tp": None},
            steps_done=lambda: self.number,
        )
        self.number = 0
        self.callback = build("callback", name, params, self.context, path=f"callback.{name}")
        self.callback.set_model(self.model)
        self.model.stop_training = False
        self.callback.on_train_begin({})

    def step(self, loss=0.5):
        self.callback.on_train_batch_begin(self.number % STEPS, {})
        self.number += 1
        self.callback.on_train_batch_end((self.number - 1) % STEPS, {"loss": loss, "accuracy": 0.75})

    def epoch(self, **row):
        """Four steps and the epoch's end; returns whether training is to stop."""
        for _ in range(STEPS - self.number % STEPS):
            self.step()
        self.callback.on_epoch_end(self.number // STEPS - 1, {"loss": 0.5, "val_auc": 0.5, "val_loss": 1.0, "val_own": 1.0, **row})
        return self.model.stop_training

    def set_weights(self, value):
        self.model.set_weights([np.full_like(weight, value) for weight in self.model.get_weights()])


@pytest.fixture
def driver(tmp_path):
    """driver(name, **params) -> Driver."""
    return lambda name, **params: Driver(tmp_path, name, **params)
