"""A training that was cut off at any step goes on as if nothing had happened, whatever it was made of."""

import dataclasses
import shutil

import numpy as np
import pytest
from small_network import small_network

from malaria_exp.config.registry import build
from malaria_exp.config.run_files import RESUME
from malaria_exp.training.checkpoint_files import read_last
from malaria_exp.utils.errors import RunFolderError

STAGES = [{"epochs": 1, "train": ["logit"]}, {"epochs": 2, "train": ["*"], "learning_rate": 0.5}]
CELLNET = ("cellnet", {"image_size": 32, "stem": 4, "widths": [8], "dropout": 0.3})
MODEL = {
    "learning_rate": 0.02,
    "metrics": ("accuracy", "auc"),
    "model": small_network,
}
CALLBACKS = {
    "early_stopping": {"patience": 2},
    "plateau": {"patience": 1},
    "nan_guard": {"every": "3 steps"},
    "checkpoints": {"every": "2 steps", "monitors": ["val_loss"]},
}


class KilledError(Exception):
    """Stands for kill -9."""


def train(make_inputs_in, folder, trainer, params, *, copy_at=(), kill_at=None, checkpoint=None, callbacks=(), **parts):
    """Trains and returns the inputs and the result; copies the last checkpoint at some steps, and is killed at another."""
    import keras

    class Watcher(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            done = self.context.steps_done()
            if done in copy_at:
                shutil.copytree(folder / RESUME, folder / f"at-{done}" / RESUME)
            if done == kill_at:
                raise KilledError

    def make(context):
        watcher = Watcher()
        watcher.context = context
        return [*(build("callback", name, CALLBACKS[name], context) for name in callbacks), watcher]

    folder.mkdir(exist_ok=True)
    inputs = make_inputs_in(folder, 5, **MODEL | {"callbacks": make, "augmentations": [build("aug", "dihedral", {})]} | parts)
    inputs = dataclasses.replace(inputs, checkpoint=checkpoint)
    settings = {"precision": "float32", "monitor": "val_log_loss", "checkpoint": "1 steps", **params}
    return inputs, build("trainer", trainer, settings).train(inputs)


def check_same(one, two):
    for first, second in zip(one.model.get_weights(), two.model.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
    assert len(one.history) == len(two.history)
    for first, second in zip(one.history, two.history, strict=True):
        for name in set(first) - {"seconds", "cells_per_second"}:
            np.testing.assert_array_equal(first[name], second[name], err_msg=f"{name} of epoch {first['epoch']}")
    assert (one.best_epoch, one.best, one.precision) == (two.best_epoch, two.best, two.precision)


ALL = ("early_stopping", "plateau", "nan_guard", "checkpoints")
HARD = build("sampling", "hard_examples", {"warm_epochs": 1, "warm_steps": 0, "fraction": 0.5}, np.zeros(0), None)
EMA = {"precision": "float16", "ema": 0.9}
EAGER = {"epochs": 2, "eager": True}
CASES = {
    "fit with callbacks and muon": ("fit", {"epochs": 2}, {"optimizer": "muon", "callbacks": ALL, "learning_rate": 0.3}),
    "loop, of the cells that are not yet easy": ("loop", {"epochs": 3, "accumulate": 2, "precision": "float16"}, {"sampling": HARD}),
    "staged": ("staged", {"stages": STAGES, **EMA}, {"augmentations": "cutmix"}),
}


@pytest.mark.long
@pytest.mark.parametrize("case", CASES)
def test_a_training_that_was_cut_off_ends_as_its_twin(case, make_inputs_in, tmp_path):
    trainer, params, parts = CASES[case]
    if "augmentations" in parts:
        parts = {"augmentations": [build("aug", parts["augmentations"], {})]}
    run = tmp_path / "run"
    steps = 7  # of an epoch
    whole, twin = train(make_inputs_in, run, trainer, params, copy_at=(steps, steps + 2), **parts)
    assert whole.batches.steps_per_epoch == steps
    for cut_at in (steps, steps + 2):
        checkpoint = read_last(run / f"at-{cut_at}")
        assert checkpoint.progress.steps == cut_at
        told, resumed = train(make_inputs_in, tmp_path / "again", trainer, params, checkpoint=checkpoint, **parts)
        check_same(resumed, twin)
        assert told.tracker.recorder.steps == whole.tracker.recorder.steps[cut_at:]


@pytest.mark.long
def test_a_training_may_be_killed_again_and_again(make_inputs_in, tmp_path):
    parts = {"callbacks": ("checkpoints",)}
    _, twin = train(make_inputs_in, tmp_path / "twin", "loop", EAGER, **parts)
    checkpoint = None
    for kill_at in (1, 8):
        with pytest.raises(KilledError):
            train(make_inputs_in, tmp_path / "run", "loop", EAGER, kill_at=kill_at, checkpoint=checkpoint, **parts)
        checkpoint = read_last(tmp_path / "run")
    check_same(train(make_inputs_in, tmp_path / "run", "loop", EAGER, checkpoint=checkpoint, **parts)[1], twin)
    assert len(list((tmp_path / "run" / RESUME).iterdir())) == 2
    written = [sorted(path.name for path in (tmp_path / name / "checkpoints").iterdir()) for name in ("run", "twin")]
    assert written[0] == written[1]


def test_a_training_that_ended_early_or_was_done_ends_the_same(make_inputs_in, tmp_path):
    parts = {"callbacks": ("early_stopping",), "learning_rate": 1e-12, "model": CELLNET}
    _, twin = train(make_inputs_in, tmp_path / "run", "fit", {"epochs": 5}, **parts)
    assert len(twin.history) == 3
    # The last checkpoint was written when early stopping had ended the training.
    _, resumed = train(make_inputs_in, tmp_path / "run", "fit", {"epochs": 5}, checkpoint=read_last(tmp_path / "run"), **parts)
    check_same(resumed, twin)


def test_a_checkpoint_of_another_model_is_refused(make_inputs_in, tmp_path):
    train(make_inputs_in, tmp_path, "loop", EAGER | {"epochs": 1})
    other = ("cellnet", {"image_size": 32, "stem": 6, "widths": [8], "dropout": 0.3})
    with pytest.raises(RunFolderError, match="does not fit"):
        train(make_inputs_in, tmp_path, "loop", EAGER | {"epochs": 1}, checkpoint=read_last(tmp_path), model=other)
