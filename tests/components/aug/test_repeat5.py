"""An epoch holds every cell once for each copy, and each copy has its own operations."""

import numpy as np
import pytest
import tensorflow as tf
from aug_tools import noise, run

from malaria_exp.config.registry import build
from malaria_exp.data.augmentation_chain import Chain
from malaria_exp.data.batches import TrainingBatches
from malaria_exp.data.pixel_cache import open_pixel_cache
from malaria_exp.data.resize import ResizeRule
from malaria_exp.data.subsets import Data
from malaria_exp.utils.errors import ConfigError

COPIES = [[], ["flip_left_right"], ["flip_up_down"], ["flip_left_right", "flip_up_down"], ["adjust_saturation"]]


def test_each_copy_is_treated_by_its_own_operations():
    images, labels = noise(10)
    got, kept = run(Chain([build("aug", "repeat5", {"copies": COPIES})]), images, labels)
    expected = [images, images[:, :, ::-1], images[:, ::-1], images[:, ::-1, ::-1], tf.image.adjust_saturation(images, 0.3).numpy()]
    for number in range(10):
        np.testing.assert_allclose(got[number], expected[number % 5][number], atol=1e-6)
    assert np.array_equal(kept, labels)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    table = build("dataset", "synthetic", {"infected_patients": 6, "healthy_patients": 3, "cells_per_patient": 5, "cell_size": 24})
    return Data(
        build("split", "patient_holdout", {}, table), open_pixel_cache(table, ResizeRule(16, "pad"), tmp_path_factory.mktemp("cache"))
    )


@pytest.mark.parametrize("resident_gb", [1.0, 0.0], ids=["resident", "mapped"])
def test_an_epoch_holds_every_cell_in_each_of_the_copies(data, resident_gb):
    cells = data.training()[0]
    chain = Chain([build("aug", "repeat5", {"copies": COPIES[:4]})])
    batches = TrainingBatches(cells, batch_size=len(cells), chain=chain, seed=3, resident_gb=resident_gb)
    assert batches.steps_per_epoch == 4
    whole = [batch[0].numpy() for batch in batches.dataset().take(8)]
    plain = cells.images() * np.float32(1 / 255)
    expected = sorted(image.tobytes() for kind in (plain, plain[:, :, ::-1], plain[:, ::-1], plain[:, ::-1, ::-1]) for image in kind)
    for epoch in (0, 1):
        assert sorted(np.ascontiguousarray(image).tobytes() for image in np.concatenate(whole[4 * epoch : 4 * epoch + 4])) == expected
    # From the middle of an epoch on it is the rest of the same epoch.
    for got, want in zip(batches.dataset(start_step=3).take(2), whole[3:5], strict=True):
        assert np.array_equal(got[0], want)


def test_two_of_them_in_one_chain_and_no_copy_at_all_are_refused():
    both = [build("aug", "repeat5", {}) for _ in range(2)]
    with pytest.raises(ConfigError, match="aug: received two augmentations that repeat the cells"):
        Chain(both)
    with pytest.raises(ConfigError, match=r"aug.repeat5.copies: expected a list of operations for each copy"):
        build("aug", "repeat5", {"copies": []})
