"""What the data says a cell weighs reaches the training batches, beside what the sampling says."""

import dataclasses

import numpy as np
import pytest

from malaria_exp.config.registry import build
from malaria_exp.data.open_batches import training_batches
from malaria_exp.data.pixel_cache import open_pixel_cache
from malaria_exp.data.resize import ResizeRule
from malaria_exp.data.sampling import UNIFORM
from malaria_exp.data.subsets import Data
from malaria_exp.utils.errors import DataError


@pytest.fixture(scope="module")
def data(cache_root):
    table = build("dataset", "synthetic", {"infected_patients": 6, "healthy_patients": 3, "cells_per_patient": 6})
    weight = np.random.default_rng(0).choice([0.0, 0.5, 1.0], len(table)).astype(np.float32)
    manifest = build("split", "patient_holdout", {}, table)
    return Data(manifest, open_pixel_cache(table, ResizeRule(16, "pad"), cache_root), weight)


def test_a_batch_holds_each_cells_weight_with_a_mean_of_one(data):
    cells, own = data.training()[0], data.training_weights()
    assert own.tolist() == data.weight[data.manifest.subset == "train"].tolist()
    made = training_batches(cells, batch_size=len(cells), augmentations=[], seed=0, resident_gb=1, sampling=UNIFORM.weighted(own))
    images, _, weights = next(iter(made.dataset()))
    assert np.mean(weights) == pytest.approx(1)
    of_image = dict(zip([image.tobytes() for image in cells.images()], own / own.mean(), strict=True))
    for image, weight in zip(np.rint(images.numpy() * 255).astype(np.uint8), weights.numpy(), strict=True):
        assert weight == pytest.approx(of_image[image.tobytes()])


def test_weights_of_the_data_and_of_the_sampling_multiply(data):
    own = data.training_weights()
    balanced = build("sampling", "patient_balanced", {"by": "weights"}, *data.training_labels())
    both = balanced.weighted(own).weights
    assert both == pytest.approx(balanced.weights * own / np.mean(balanced.weights * own))
    assert UNIFORM.weighted(None) is UNIFORM
    with pytest.raises(DataError, match=r"^dataset\.csv: every training cell has the weight 0"):
        UNIFORM.weighted(np.zeros_like(own))
    assert dataclasses.replace(data, weight=None).training_weights() is None
