"""Integrated gradients add up: the sum of a map is the change of the log-odds from the baseline to the cell."""

import keras
import numpy as np
import pytest

from malaria_exp.config.registry import build
from malaria_exp.deployment.explanations.explained_model import ExplainedModel, inside
from malaria_exp.evaluation.logit_map import LogitMap
from malaria_exp.training.calibrated_model import with_calibration


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    network = build("model", "cellnet", {"image_size": 32, "stem": 8, "widths": [16]})
    whole = with_calibration(network, LogitMap([0.0], [0.3], 2.0))
    return ExplainedModel(network, whole, lambda _: np.zeros(1))


@pytest.fixture(scope="module")
def images():
    rows, columns = np.mgrid[:32, :32]
    images = np.random.default_rng(0).integers(100, 255, (3, 32, 32, 3), dtype=np.uint8)
    return np.where((np.hypot(rows - 15.5, columns - 15.5) < 14)[None, ..., None], images, np.uint8(0))


def logit(model, images):
    return model.whole(images.astype(np.float32) / 255, training=False).numpy()[:, 0]


@pytest.mark.parametrize("baseline", ["mean", "black"])
@pytest.mark.parametrize("blur", [0.0, 0.05])
def test_a_map_sums_to_the_change_of_the_calibrated_log_odds(model, images, baseline, blur):
    found = build("explanation", "integrated_gradients", {"baseline": baseline, "blur": blur, "steps": 64})(model, images)
    start = np.zeros(images.shape)
    if baseline == "mean":
        for one, image in zip(start, images, strict=True):
            one[inside(image)] = image[inside(image)].mean(axis=0)
    change = logit(model, images) - logit(model, start)
    assert np.abs(change).max() > 0.1
    assert found.sum(axis=(1, 2)) == pytest.approx(change, rel=0.05, abs=0.1)


def test_outside_of_the_cell_and_in_an_even_cell_nothing_counts(model, images):
    even = np.where(inside(images[0])[..., None], np.uint8([150] * 3), np.uint8(0))
    found = build("explanation", "integrated_gradients", {"blur": 0.0})(model, np.stack([images[0], even]))
    assert not found[0][~inside(images[0])].any() and np.abs(found[1]).max() < 1e-4


def test_steps_grow_where_the_sum_is_not_exact(model, images):
    # Steep and bent: four steps miss the bend.
    bent = with_calibration(model.network, LogitMap([-0.02, 0.0, 0.02], [-3.0, 0.0, 3.0], 0.01))
    other = ExplainedModel(model.network, bent, model.score)
    start = np.where(inside(images[0])[..., None], np.rint(images[0][inside(images[0])].mean(axis=0)), 0)[None]
    change = float(logit(other, images[:1])[0] - logit(other, start)[0])
    found = [build("explanation", "integrated_gradients", {"steps": steps})(other, images[:1]).sum() for steps in (4, 500)]
    assert abs(found[1] - change) <= max(0.15, 0.06 * abs(change))
