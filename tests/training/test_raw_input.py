"""The resize rule inside a saved net: the same pixels and the same scores as outside of it."""

import io
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from malaria_exp.config.registry import build
from malaria_exp.data.resize import ResizeRule, resize
from malaria_exp.training.raw_input import PrepareImages, with_raw_input

SIZES = st.integers(1, 90)


@pytest.fixture(scope="module")
def prepare():
    """prepare(image, rule): what the layer makes of one image, float32 (size, size, 3)."""
    keras.config.set_dtype_policy("float32")
    made = {}

    def run(image, rule):
        if rule not in made:
            layer = PrepareImages(**rule.to_dict())
            made[rule] = tf.function(lambda images: layer(images), input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)])
        return made[rule](image[None]).numpy()[0]

    return run


def levels_off(image, rule, prepare):
    """By how many of the 255 levels the layer's pixels differ from the pixel cache's."""
    outside = resize(image, rule).astype(np.float32) * np.float32(1 / 255)
    inside = prepare(image, rule)
    assert inside.dtype == np.float32 and inside.shape == outside.shape
    return np.abs(inside - outside) * 255


@settings(max_examples=150, deadline=None)
@given(height=SIZES, width=SIZES, mode=st.sampled_from(["pad", "stretch"]), size=st.sampled_from([16, 32, 48]), seed=st.integers(0, 99))
def test_pixels_are_those_of_the_pixel_cache_except_for_ties_of_rounding(prepare, height, width, mode, size, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    off = levels_off(image, ResizeRule(size, mode), prepare)
    # Where the exact value lies halfway between two levels, the last bit of a sum decides, and sums are taken in another order.
    assert off.max() < 1.001
    assert (off > 1e-3).mean() <= 0.01


@pytest.mark.long
def test_on_real_cells_hardly_a_pixel_differs(prepare, real_zip):
    with zipfile.ZipFile(real_zip) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".png"))
        names = np.random.default_rng(0).choice(names, 60, replace=False)
        cells = [np.asarray(Image.open(io.BytesIO(archive.read(str(name)))).convert("RGB")) for name in names]
    for rule in (ResizeRule(64, "pad"), ResizeRule(96, "stretch"), ResizeRule(48, "pad")):
        off = np.concatenate([levels_off(cell, rule, prepare).ravel() for cell in cells])
        assert off.max() < 1.001
        assert (off > 1e-3).mean() < 1e-4


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("name", ["cellnet", "lenet_subclassed"])
def test_the_net_behind_it_gives_the_same_logits(name, policy):
    keras.config.set_dtype_policy(policy)
    net = build("model", name, {"image_size": 32})
    keras.config.set_dtype_policy("float32")
    rule = ResizeRule(32, "pad")
    raw = with_raw_input(net, rule)
    assert raw.input_shape == (None, None, None, 3)
    assert [weight.path for weight in raw.weights] == [weight.path for weight in net.weights]
    # Of these sizes no pixel lies on a tie: the logits are the same to the last bits.
    for height, width in ((64, 64), (16, 16), (50, 41), (131, 37)):
        images = np.random.default_rng(height).integers(0, 256, (3, height, width, 3)).astype(np.uint8)
        outside = np.stack([resize(image, rule) for image in images]).astype(np.float32) * np.float32(1 / 255)
        np.testing.assert_allclose(raw(images, training=False), net(outside, training=False), rtol=1e-5, atol=1e-5)


def test_the_resize_is_computed_in_float32_in_any_precision(prepare):
    image = np.random.default_rng(0).integers(0, 256, (1, 70, 50, 3)).astype(np.uint8)
    keras.config.set_dtype_policy("mixed_bfloat16")
    prepared = PrepareImages(32, "pad")(image)
    keras.config.set_dtype_policy("float32")
    np.testing.assert_array_equal(prepared[0], prepare(image[0], ResizeRule(32, "pad")))


def test_a_rule_of_another_version_is_not_taken_for_this_one():
    for mode, version in (("crop", 1), ("pad", 2)):
        with pytest.raises(ValueError, match="resize rule of this version"):
            PrepareImages(32, mode, version)
