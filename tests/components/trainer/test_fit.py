import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import build
from malaria_exp.evaluation.metrics import compute
from malaria_exp.evaluation.predictions import sigmoid
from malaria_exp.runs.run_folder import has_checkpoint
from malaria_exp.runs.train_model import speed_identity
from malaria_exp.training import precision
from malaria_exp.training.predict import Scorer
from malaria_exp.utils.errors import ConfigError, UserError


def train(parts, **params):
    return build("trainer", "fit", {"precision": "float32", "epochs": 2, **params}).train(parts)


HOW = {"learning_rate": 0.05}
LONG = {"epochs": 3, "monitor": "val_log_loss"}


@pytest.fixture(scope="module")
def three_epochs(make_inputs_in, tmp_path_factory):
    """One training and its inputs; the tests only read them."""
    parts = make_inputs_in(tmp_path_factory.mktemp("three_epochs"), 3, augmentations=[build("aug", "dihedral", {})], **HOW)
    return parts, train(parts, **LONG)


def check_same(one, two):
    for first, second in zip(one.model.get_weights(), two.model.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_same_seed_same_weights_bit_for_bit_and_another_seed_others(three_epochs, make_inputs):
    flips = [build("aug", "dihedral", {})]
    first = three_epochs[1]
    again, other = (train(make_inputs(seed, augmentations=flips, **HOW), **LONG) for seed in (3, 4))
    check_same(first, again)
    for one, two in zip(first.history, again.history, strict=True):
        for name in set(one) - {"seconds", "cells_per_second"}:
            np.testing.assert_array_equal(one[name], two[name], err_msg=name)
    assert any((one != two).any() for one, two in zip(first.model.get_weights(), other.model.get_weights(), strict=True))


def test_the_best_epochs_weights_are_kept_and_its_validation_is_theirs(three_epochs):
    parts, trained = three_epochs
    values = [row["val_log_loss"] for row in trained.history]
    assert trained.best_epoch == int(np.argmin(values)) + 1
    best = trained.history[trained.best_epoch - 1]
    for name, value in compute(parts.val.labels, sigmoid(Scorer(trained.model).logits(parts.val)), 0.5).items():
        assert best[f"val_{name}"] == pytest.approx(value, nan_ok=True), name


def test_loggers_hear_of_every_step_and_epoch(three_epochs):
    parts, _ = three_epochs
    heard = parts.tracker.recorder
    steps = parts.batches.steps_per_epoch
    assert heard.length == RunLength(3, steps, 16, later_steps=steps)
    assert [step for step, _ in heard.steps] == list(range(1, heard.length.steps + 1))
    assert all(np.isfinite(values["loss"]) for _, values in heard.steps)
    assert [row["epoch"] for row in heard.rows] == [1, 2, 3]


def test_the_saved_model_holds_nothing_of_the_optimizer(three_epochs):
    assert not three_epochs[1].model.compiled


@pytest.mark.parametrize(
    ("monitor", "nearest"), [("val_acuracy", "val_accuracy"), ("train_loss", "val_loss"), ("accuracy", "val_loss"), ("val_", "val_loss")]
)
def test_a_monitor_without_a_known_direction_is_refused_before_training(monitor, nearest, make_inputs):
    with pytest.raises(ConfigError, match=nearest):
        train(make_inputs(), monitor=monitor)


def test_a_run_that_diverges_says_so(make_inputs):
    class Broken(keras.losses.Loss):
        def call(self, y_true, y_pred):
            return y_pred * float("nan")

    with pytest.raises(UserError, match=r"diverged.*optimizer\.learning_rate"):
        train(make_inputs(loss=Broken()))


def test_low_precision_computes_low_and_keeps_float32_weights_and_the_checkpoint_can_be_off(make_inputs):
    parts = make_inputs()
    trained = train(parts, precision="bfloat16", epochs=1, checkpoint=None)
    assert not has_checkpoint(parts.folder)
    assert trained.precision == "bfloat16"
    convolution = next(layer for layer in trained.model.layers if type(layer).__name__ == "Conv2D")
    assert convolution.compute_dtype == "bfloat16"
    assert {str(weight.dtype) for weight in trained.model.weights} == {"float32"}


def test_auto_measures_once_and_the_measurement_does_not_change_the_run(three_epochs, make_inputs, monkeypatch):
    calls = []

    def measured(candidates, compiled, batch):
        calls.append(candidates)
        compiled().train_on_batch(*batch)
        return {"float32": 1.0, "bfloat16": 2.0}

    monkeypatch.setattr(precision, "_measure", measured)
    flips = [build("aug", "dihedral", {})]
    trained = train(make_inputs(3, augmentations=flips, **HOW), precision="auto", **LONG)
    assert trained.precision == "float32"
    check_same(trained, three_epochs[1])
    assert train(make_inputs(3), precision="auto", epochs=1).precision == "float32"
    assert calls == [["float32", "bfloat16"]]


@pytest.mark.parametrize(("seconds", "chosen"), [((1.0, 0.5), "bfloat16"), ((1.0, 0.95), "float32"), ((1.0, 1.5), "float32")])
def test_auto_takes_a_lower_precision_only_if_clearly_faster(monkeypatch, tmp_path, seconds, chosen):
    monkeypatch.setattr(precision, "_measure", lambda *_: dict(zip(("float32", "bfloat16"), seconds, strict=True)))
    batch = (np.zeros(1), np.zeros(1))
    assert precision.choose_precision(lambda: None, lambda: batch, identity="x", root=tmp_path) == chosen
    (record,) = tmp_path.glob("precision-*.json")
    assert json.loads(record.read_text())["precision"] == chosen


def test_the_real_measurement_times_both_precisions(make_inputs, monkeypatch):
    monkeypatch.setattr(precision, "ROUNDS", 1)

    def compiled():
        model = make_inputs().build_model()
        model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
        return model

    seconds = precision._measure(["float32", "bfloat16"], compiled, (np.zeros((4, 32, 32, 3), np.float32), np.zeros((4, 1), np.float32)))
    precision.set_precision("float32")
    assert set(seconds) == {"float32", "bfloat16"}
    assert all(0 < value < 60 for value in seconds.values())


def test_rates_and_fractions_need_no_measurement_of_their_own():
    def identity(batch_size=128, **params):
        chosen = {"model": ("cellnet", params), "loss": ("bce", {}), "optimizer": ("adamw", {"learning_rate": params.get("dropout")})}
        return speed_identity(
            SimpleNamespace(one=lambda group: SimpleNamespace(name=chosen[group][0], params=chosen[group][1])), batch_size
        )

    assert identity(stem=16, dropout=0.1) == identity(stem=16, dropout=0.2)
    assert len({identity(stem=16), identity(stem=32), identity(stem=16, batch_size=64), identity(stem=16, widths=[8])}) == 4
