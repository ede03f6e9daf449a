"""Inputs for trainers, on a few synthetic cells."""

from functools import partial

import pytest
from small_network import small_network

from malaria_exp.config.registry import build
from malaria_exp.data.augmentation_chain import Chain
from malaria_exp.data.batches import TrainingBatches
from malaria_exp.data.pixel_cache import open_pixel_cache
from malaria_exp.data.resize import ResizeRule
from malaria_exp.data.sampling import UNIFORM
from malaria_exp.data.subsets import Data
from malaria_exp.tracking.logger_interface import Logger
from malaria_exp.tracking.logger_queue import Loggers
from malaria_exp.tracking.tracker import Tracker
from malaria_exp.training.trainer_interface import TrainerInputs


class Recorder(Logger):
    """Remembers what it is told."""

    def __init__(self):
        self.wants = {"steps": 1}
        self.steps, self.rows, self.length = [], [], None

    def training(self, length, monitor):
        self.length = length

    def scalars(self, axis, number, values):
        if axis == "step":
            self.steps.append((number, dict(values)))
        else:
            self.rows.append(values)


class RecordingTracker(Tracker):
    """A tracker with one logger, which remembers."""

    def __init__(self):
        self.recorder = Recorder()
        super().__init__(Loggers({"recorder": self.recorder}))


@pytest.fixture(scope="session")
def trainer_data(cache_root):
    """Cells of 14 synthetic patients, 32 px."""
    table = build("dataset", "synthetic", {"infected_patients": 10, "healthy_patients": 4, "cells_per_patient": 10, "cell_size": 40})
    manifest = build("split", "patient_holdout", {}, table)
    return Data(manifest, open_pixel_cache(table, ResizeRule(32, "pad"), cache_root))


@pytest.fixture(scope="session")
def make_inputs_in(trainer_data):
    """make_inputs_in(folder, seed=0, model=..., ...) -> TrainerInputs of a training of a tiny net."""
    cells, val = trainer_data.training()

    def make(
        folder,
        seed=0,
        model=small_network,
        learning_rate=0.01,
        optimizer="adamw",
        schedule="cosine",
        augmentations=(),
        loss=None,
        sampling=UNIFORM,
        metrics=("accuracy",),
        callbacks=lambda _: [],
        **optimizer_params,
    ):
        return TrainerInputs(
            build_model=model if callable(model) else lambda: build("model", *model),
            loss=loss or build("loss", "bce", {}),
            build_multiplier=lambda length: build("schedule", schedule, {}, length),
            build_optimizer=lambda factor: build("optimizer", optimizer, {"learning_rate": learning_rate, **optimizer_params}, factor),
            batches=TrainingBatches(cells, batch_size=16, chain=Chain(list(augmentations)), seed=seed, resident_gb=1, sampling=sampling),
            val=val,
            tracker=RecordingTracker(),
            folder=folder,
            seed=seed,
            eval_batch_size=64,
            identity="test",
            cache=folder / "cache",
            build_metrics=lambda: [build("metric", name, {}) for name in metrics],
            build_callbacks=callbacks,
        )

    return make


@pytest.fixture
def make_inputs(make_inputs_in, tmp_path):
    """make_inputs(seed=0, model=..., ...) -> TrainerInputs of a training of a tiny net in the test's own folder."""
    return partial(make_inputs_in, tmp_path)
