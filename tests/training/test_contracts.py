"""What a plugin's builder returns is checked before training; what is allowed passes as it is."""

import keras
import numpy as np
import pytest

from malaria_exp.config.registry import build, options
from malaria_exp.data.augmentation_chain import Copies, Until
from malaria_exp.training.contracts import checked
from malaria_exp.utils.errors import ConfigError


class Scalar(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return keras.ops.mean(y_pred)


class Column(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return y_true - y_pred


class Upward(keras.metrics.Mean):
    direction = "up"


@pytest.mark.parametrize(
    ("group", "built", "message"),
    [
        ("loss", Scalar(), r"values of shape \(\) for 3 cells; expected a Keras loss .* one finite value a cell"),
        ("loss", Column(), r"values of shape \(3, 1\)"),
        ("loss", lambda y_true, y_pred: y_pred, "expected a Keras loss"),
        ("metric", Upward(), "a metric whose direction is 'up'"),
        ("metric", "auc", "expected a Keras metric"),
        ("optimizer", None, "expected a Keras optimizer"),
        ("callback", object(), "expected a Keras callback"),
        ("schedule", 0.1, "expected a function from the step"),
        ("aug", [1], "expected a function of"),
        ("aug", Until(None, "10%"), "expected a function of"),
        ("trainer", print, r"train\(parts\)"),
    ],
)
def test_what_is_no_such_component_is_said(group, built, message):
    with pytest.raises(ConfigError, match=f"{group}: 'mine' built .*{message}"):
        checked(group, "mine", built)


@pytest.mark.parametrize("name", sorted(options("loss")))
def test_the_losses_of_the_project_pass(name):
    loss = build("loss", name, {}, np.array([0, 1, 1]))
    assert checked("loss", name, loss) is loss


def test_augmentations_may_end_early_or_repeat_the_cells():
    for built in (print, Until(print, "10%"), Copies((print, print))):
        assert checked("aug", "mine", built) is built
