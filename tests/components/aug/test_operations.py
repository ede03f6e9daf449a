"""The operations of RandAugment and AugMix against Pillow's, and how they are drawn."""

from typing import get_args

import numpy as np
import pytest
import tensorflow as tf
from aug_tools import cells, changed, noise, spread, treat
from PIL import Image, ImageEnhance, ImageOps

from malaria_exp.components.aug import _operations, augmix
from malaria_exp.components.aug._operations import GEOMETRY, RECOLOR
from malaria_exp.config.registry import component
from malaria_exp.utils.errors import ConfigError

OPERATIONS = [*GEOMETRY, *RECOLOR]


def operate(name, images, strength):
    count = len(images)
    return _operations.operate(tf.constant(images), tf.zeros(count, tf.int32), tf.fill((count,), strength), [name]).numpy()


@pytest.fixture(scope="module")
def batch():
    return cells(6)[0]


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in ("autocontrast", "equalize")])
def test_strength_0_is_the_identity(name, batch):
    np.testing.assert_allclose(operate(name, batch, 0.0), batch, atol=1e-5)


def test_an_empty_batch_is_accepted():
    for name in OPERATIONS:
        assert operate(name, np.zeros((0, 8, 8, 3), np.float32), 0.5).shape == (0, 8, 8, 3), name


@pytest.mark.parametrize("name", GEOMETRY)
def test_there_and_back_is_the_identity_inside(name, batch):
    smooth = tf.nn.avg_pool2d(batch, 3, 1, "SAME").numpy()
    back = operate(name, operate(name, smooth, 0.3), -0.3)
    assert np.abs(back - smooth)[:, 8:16, 8:16].mean() < 0.02
    assert not np.allclose(operate(name, smooth, 0.3), smooth, atol=0.05)


def as_pillow(function, images):
    """Returns what Pillow's function does to the images, in [0, 1]."""
    done = [function(Image.fromarray(np.round(image * 255).astype(np.uint8))) for image in images]
    return np.stack([np.asarray(image, np.float32) / 255 for image in done])


@pytest.mark.parametrize(
    ("name", "strength", "pillow", "tolerance"),
    [
        ("brightness", -0.5, lambda image: ImageEnhance.Brightness(image).enhance(0.55), 0.01),
        ("saturation", 0.5, lambda image: ImageEnhance.Color(image).enhance(1.45), 0.01),
        ("sharpness", 1.0, lambda image: ImageEnhance.Sharpness(image).enhance(1.9), 0.02),
        ("posterize", 1.0, lambda image: ImageOps.posterize(image, 4), 0.001),
        ("posterize", 0.5, lambda image: ImageOps.posterize(image, 6), 0.001),
        ("solarize", 0.5, lambda image: ImageOps.solarize(image, 128), 0.001),
        ("rotate", -2 / 3, lambda image: image.rotate(-20, Image.Resampling.BILINEAR), 0.02),
    ],
)
def test_they_do_what_pillow_does_inside_the_cell(name, strength, pillow, tolerance, batch):
    got, want = operate(name, batch, strength), as_pillow(pillow, batch)
    # Pillow leaves the outermost pixels as they are when it sharpens, and our colors fade at the rim.
    inside = tf.nn.max_pool2d(-batch.min(axis=-1, keepdims=True), 3, 1, "SAME").numpy()[..., 0] < -0.12
    assert inside.sum() > 200
    error = np.abs(got - want)[inside]
    assert np.quantile(error, 0.98) < tolerance + 1 / 255


def test_autocontrast_stretches_the_cell_to_the_whole_range():
    images = (cells(5)[0] * 0.5 + 0.2 * (cells(5)[0] > 0)).astype(np.float32)
    got = operate("autocontrast", images, 0.0)
    for before, after in zip(images, got, strict=True):
        inside = before.max(axis=-1) > 0
        assert after[inside].max(axis=0) == pytest.approx([1, 1, 1], abs=1e-5)
        assert after[inside].min(axis=0) == pytest.approx([0, 0, 0], abs=1e-5)


def test_equalize_makes_all_values_as_frequent():
    images = noise(4, 64)[0] ** 3
    images = np.round(images * 255).astype(np.float32) / 255
    got = operate("equalize", images, 0.0)
    bright = images.max(axis=-1, keepdims=True) > 0.15
    values = got[..., 0][bright[..., 0]]
    # A rank of each value: evenly spread.
    assert np.quantile(values, 0.9) > 0.88
    assert np.abs(np.sort(got[0, ..., 1].ravel())[::64] - np.linspace(0, 1, 64)).max() < 0.3


@pytest.mark.parametrize("count", [1, 3])
def test_rand_augment_does_as_many_as_asked_and_draws_each_as_often(count):
    images, labels = noise(2000, 4)
    got = treat("rand_augment", images, labels, operations=["identity", "solarize"], count=count, strength=0.5, p=1.0)[0]
    assert abs(1 - changed(images, got) - 0.5**count) < spread(0.5**count, 2000)


def test_augmix_is_an_average_of_the_image_and_its_versions():
    images, labels = noise(500, 4)
    got = treat("augmix", images, labels, operations=["solarize"], strength=1.0, depth=1, width=1, alpha=1.0, p=1.0)[0]
    # One chain of one inversion of a strength: each image lies on the line to it, its place evenly spread.
    moved = np.abs(got - images).max(axis=(1, 2, 3))
    assert (moved > 0).mean() > 0.9
    assert moved.mean() == pytest.approx(moved.max() / 2, abs=0.2)


def test_augmix_draws_one_to_depth_operations():
    images, labels = noise(1500, 4)
    nothing = treat("augmix", images, labels, operations=["identity", "solarize"], strength=1.0, depth=2, width=1, p=1.0)[0]
    same = (np.abs(nothing - images) < 1e-6).all(axis=(1, 2, 3)).mean()
    # Half of the chains have one operation, half have two, and every one is the identity half of the time.
    assert abs(same - (0.5 * 0.5 + 0.5 * 0.25)) < 0.06


@pytest.mark.parametrize("name", ["rand_augment", "augmix"])
def test_an_empty_or_unknown_list_is_refused(name):
    with pytest.raises(ConfigError, match=rf"aug.{name}.operations: expected at least one"):
        treat(name, *noise(1), operations=[])
    with pytest.raises(ConfigError, match=r"operations\[0\].*'rotat'.*Did you mean 'rotate'"):
        treat(name, *noise(1), operations=["rotat"])


def test_the_names_of_the_operations_are_those_that_exist():
    names = component("aug", "rand_augment").parameters["operations"].default
    assert names == list(get_args(_operations.OperationName)) == ["identity", *OPERATIONS]
    assert set(augmix.IN_PAPER) < set(names)
