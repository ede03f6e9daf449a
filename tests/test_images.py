"""One decoder, one resize rule: golden pixels, and every bad file is said to be bad."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from malaria_exp.images import MAX_PIXELS, ResizeRule, decode_png, pad_to_square, resize
from malaria_exp.table import BadImageError

IMAGE = np.random.default_rng(0).integers(0, 256, (19, 23, 3), dtype=np.uint8)


def encode(image, mode=None, **options):
    out = io.BytesIO()
    picture = Image.fromarray(image)
    (picture.convert(mode) if mode else picture).save(out, options.pop("format", "PNG"), **options)
    return out.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(width, height, *, bits=8, colour=2, rows=b"", extra=b""):
    """A PNG from its chunks: what no friendly encoder would write."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


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


# Decoding


@given(images)
@settings(max_examples=20, deadline=None)
def test_decoding_gives_the_pixels_that_were_encoded(image):
    got = decode_png(encode(image))
    assert got.dtype == np.uint8
    assert np.array_equal(got, image)


def test_channels_are_red_green_blue():
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 200
    assert decode_png(encode(red))[0, 0].tolist() == [200, 0, 0]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", r"empty file \(0 bytes\)"),
        (b"not an image", r"not a PNG image \(12 bytes\)"),
        (encode(IMAGE, format="JPEG"), "not a PNG image"),
        (encode(IMAGE, format="BMP"), "not a PNG image"),
        (encode(IMAGE, "P"), "pixel mode P, expected 8-bit RGB"),
        (encode(IMAGE, "RGBA"), "pixel mode RGBA"),
        (encode(IMAGE, "L"), "pixel mode L,"),
        (encode(IMAGE, "LA"), "pixel mode LA"),
        (encode(IMAGE, "1"), "pixel mode 1"),
        (encode(IMAGE[..., 0].astype(np.uint16) * 257), "pixel mode I;16"),
        (raw_png(4, 5, bits=16, rows=(b"\0" + bytes(range(24))) * 5), "16 bits a channel"),
        (raw_png(4, 5, rows=(b"\0" + bytes(12)) * 5, extra=chunk(b"tRNS", bytes(6))), "transparent colour"),
        (raw_png(0, 0), "PNG"),
    ],
    ids=["empty", "text", "jpeg", "bmp", "palette", "alpha", "grey", "grey+alpha", "black/white", "grey 16", "rgb 16", "tRNS", "0x0"],
)
def test_a_bad_file_is_refused_with_its_reason(data, reason):
    with pytest.raises(BadImageError, match=reason):
        decode_png(data)


def test_the_hand_made_png_is_fine_without_its_fault():
    rows = b"".join(b"\0" + IMAGE[row, :4].tobytes() for row in range(5))
    assert np.array_equal(decode_png(raw_png(4, 5, rows=rows)), IMAGE[:5, :4])


@pytest.mark.parametrize("edge", [MAX_PIXELS // 4096 + 1, 60_000, 2**31 - 1])
def test_a_bomb_is_refused_by_its_header(edge, monkeypatch):
    loaded = []
    monkeypatch.setattr(Image.Image, "load", loaded.append)
    with pytest.raises(BadImageError, match="pixels"):
        decode_png(raw_png(edge, edge, rows=bytes(10_000)))
    assert not loaded


@pytest.mark.parametrize("image", [IMAGE, np.full((19, 23, 3), 7, np.uint8)], ids=["noise", "plain"])
def test_a_file_cut_off_anywhere_is_refused_or_lacks_no_pixel(image):
    data = encode(image)
    refused = 0
    for length in range(len(data)):
        try:
            got = decode_png(data[:length])
        except BadImageError:
            refused += 1
        else:
            assert np.array_equal(got, image), length
    # Only the checksums and the end mark, which hold no pixels, may be missing.
    assert refused >= len(data) - 20


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_mutated_files_give_an_image_or_a_bad_image_error(data):
    mutated = bytearray(encode(IMAGE))
    for _ in range(data.draw(st.integers(1, 4))):
        # Half of the changes hit the header and the chunks' names, where the structure is.
        at = data.draw(st.one_of(st.integers(0, 50), st.integers(0, len(mutated) - 1)))
        kind = data.draw(st.sampled_from(["set", "cut", "insert"]))
        some = data.draw(st.binary(min_size=1, max_size=6))
        if kind == "set":
            mutated[at : at + len(some)] = some
        elif kind == "cut":
            del mutated[at : at + len(some)]
        else:
            mutated[at:at] = some
    try:
        got = decode_png(bytes(mutated))
    except BadImageError:
        return
    assert got.dtype == np.uint8
    assert got.ndim == 3
    assert got.shape[2] == 3


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
    import tensorflow as tf

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
    assert not padded[:5].any()
    assert not padded[15:].any()


def test_an_image_of_the_right_size_is_left_as_it_is():
    square = IMAGE[:16, :16]
    for mode in ("pad", "stretch"):
        assert np.array_equal(resize(square, ResizeRule(16, mode)), square)


def test_enlarging_is_bilinear():
    image = np.zeros((2, 2, 3), np.uint8)
    image[:, 1] = 100
    got = resize(image, ResizeRule(4, "stretch"))[..., 0]
    # Pixel centres lie at 0.25, 0.75, 1.25 and 1.75 of the old ones' 0.5 and 1.5.
    assert got.tolist() == [[0, 25, 75, 100]] * 4


def test_one_axis_may_shrink_while_the_other_grows():
    image = np.zeros((2, 8, 3), np.uint8)
    image[:, ::2] = 200
    got = resize(image, ResizeRule(4, "stretch"))
    assert (got == 100).all()


@given(images, st.integers(1, 32), modes)
@settings(max_examples=60, deadline=None)
def test_any_image_becomes_the_rules_square_within_its_range(image, size, mode):
    got = resize(image, ResizeRule(size, mode))
    assert got.shape == (size, size, 3)
    assert got.dtype == np.uint8
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
    "image", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)], ids=["float", "grey", "alpha"]
)
def test_only_rgb_bytes_are_resized(image):
    with pytest.raises(ValueError, match="Expected RGB uint8"):
        resize(image, ResizeRule(2, "pad"))
