"""One resize rule: golden pixels, and what averaging and enlarging must keep."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from malaria_exp.data.resize import ResizeRule, pad_to_square, resize

IMAGE = np.random.default_rng(0).integers(0, 256, (19, 23, 3), dtype=np.uint8)


def block_mean(image, factor):
    height, width = image.shape[0] // factor, image.shape[1] // factor
    return image.reshape(height, factor, width, factor, 3).astype(float).mean(axis=(1, 3))


images = st.builds(
    lambda height, width, seed: np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 2**32),
)
modes = st.sampled_from(["pad", "stretch"])


# Resizing


@pytest.mark.parametrize("factor", [1, 2, 3, 5])
@pytest.mark.parametrize("mode", ["pad", "stretch"])
def test_shrinking_by_a_whole_factor_is_the_mean_over_blocks(mode, factor):
    image = np.random.default_rng(factor).integers(0, 256, (8 * factor, 8 * factor, 3), dtype=np.uint8)
    got = resize(image, ResizeRule(8, mode)).astype(float)
    # Each axis rounds once to whole numbers.
    assert np.abs(got - block_mean(image, factor)).max() <= 1
    assert abs(float(got.mean()) - float(image.mean())) < 0.5


def test_shrinking_does_not_alias():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    assert np.abs(resize(stripes, ResizeRule(8, "stretch")).astype(int) - 100).max() <= 1


def test_golden_pixels_of_an_uneven_shrink():
    row = np.array([0, 90, 210], np.uint8)
    image = np.repeat(np.repeat(row[None, :, None], 3, axis=0), 3, axis=2)
    # Each new pixel is one and a half old ones wide: the middle one counts half on either side.
    assert resize(image, ResizeRule(2, "stretch"))[0, :, 0].tolist() == [30, 170]


@pytest.mark.parametrize(
    ("edge", "size", "method"), [(130, 64, "area"), (97, 48, "area"), (64, 64, "area"), (40, 64, "bilinear"), (131, 224, "bilinear")]
)
def test_the_rule_is_tensorflows_area_and_bilinear(edge, size, method):
    image = np.random.default_rng(edge).integers(0, 256, (edge, edge, 3), np.uint8)
    expected = tf.image.resize(image[None].astype(np.float32), (size, size), method=method).numpy()[0]
    # Rounding may fall either way where the exact value ends in a half.
    assert np.abs(resize(image, ResizeRule(size, "pad")) - expected).max() <= 0.51


@given(images, st.integers(1, 24))
@settings(max_examples=40, deadline=None)
def test_padding_keeps_the_shape_and_adds_only_black(image, size):
    image = np.maximum(image, 1)
    square = pad_to_square(image)
    height, width = image.shape[:2]
    edge = max(height, width)
    assert square.shape == (edge, edge, 3)
    top, left = (edge - height) // 2, (edge - width) // 2
    assert np.array_equal(square[top : top + height, left : left + width], image)
    assert np.count_nonzero(square) == image.size
    assert np.array_equal(resize(image, ResizeRule(size, "pad")), resize(square, ResizeRule(size, "stretch")))


def test_padding_keeps_the_aspect_where_stretching_does_not():
    wide = np.full((20, 40, 3), 255, np.uint8)
    padded, stretched = resize(wide, ResizeRule(20, "pad")), resize(wide, ResizeRule(20, "stretch"))
    assert (stretched == 255).all()
    assert (padded[5:15] == 255).all()
    assert not padded[:5].any() and not padded[15:].any()


def test_an_image_of_the_right_size_is_left_as_it_is():
    square = IMAGE[:16, :16]
    for mode in ("pad", "stretch"):
        assert np.array_equal(resize(square, ResizeRule(16, mode)), square)


def test_enlarging_is_bilinear_also_of_one_axis_alone():
    image = np.zeros((2, 2, 3), np.uint8)
    image[:, 1] = 100
    got = resize(image, ResizeRule(4, "stretch"))[..., 0]
    # Pixel centers lie at 0.25, 0.75, 1.25 and 1.75 of the old ones' 0.5 and 1.5.
    assert got.tolist() == [[0, 25, 75, 100]] * 4
    image = np.zeros((2, 8, 3), np.uint8)
    image[:, ::2] = 200
    got = resize(image, ResizeRule(4, "stretch"))
    assert (got == 100).all()


@given(images, st.integers(1, 32), modes)
@settings(max_examples=60, deadline=None)
def test_any_image_becomes_the_rules_square_within_its_range(image, size, mode):
    got = resize(image, ResizeRule(size, mode))
    assert got.shape == (size, size, 3) and got.dtype == np.uint8
    square = pad_to_square(image) if mode == "pad" else image
    assert (got.max(axis=(0, 1)) <= square.max(axis=(0, 1))).all()
    assert (got.min(axis=(0, 1)) >= square.min(axis=(0, 1))).all()


@given(images, st.integers(1, 32), modes)
@settings(max_examples=30, deadline=None)
def test_transposing_commutes_with_resizing(image, size, mode):
    # No axis is treated better; two roundings in another order may differ by one. An odd rest of padding has a side.
    if mode == "pad" and (image.shape[0] - image.shape[1]) % 2:
        image = image[:-1] if image.shape[0] > 1 else image[:, :-1]
    turned = resize(np.ascontiguousarray(image.transpose(1, 0, 2)), ResizeRule(size, mode)).transpose(1, 0, 2)
    assert np.abs(turned.astype(int) - resize(image, ResizeRule(size, mode))).max() <= 1


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)], ids=["float", "gray", "alpha"]
)
def test_only_rgb_bytes_are_resized(image):
    with pytest.raises(ValueError, match="Expected RGB uint8"):
        resize(image, ResizeRule(2, "pad"))
