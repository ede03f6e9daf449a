"""One strict decoder: what keeps its meaning is converted to the exact pixel, everything else is refused with its reason."""

import io
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import IMAGE, LOSSLESS, RNG, SMOOTH, chunk, encode, plain, png, refused, rgb_tags, rows_of, tiff
from PIL import Image, ImageOps

from malaria_exp.data.decode import EMPTY, FORMATS, SUFFIXES, decode

ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


# What stays as it is


@given(st.integers(2, 24), st.integers(2, 24), st.integers(0, 2**32), st.sampled_from(LOSSLESS))
@settings(max_examples=100, deadline=None)
def test_decoding_gives_the_pixels_that_were_encoded(height, width, seed, how):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert np.array_equal(decode(encode(image, how[0], **how[1])), image)


def test_real_cells_are_what_pillow_alone_reads(real_zip):
    with zipfile.ZipFile(real_zip) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".png"))[::50]
        for name in names:
            data = archive.read(name)
            assert np.array_equal(decode(data), plain(data)), name
    assert len(names) > 100


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"restart_marker_blocks": 1}, {"restart_marker_rows": 1, "progressive": True}, {"subsampling": 0}],
    ids=str,
)
def test_intact_jpeg_is_what_pillow_alone_reads(mode, options):
    for image in (IMAGE, SMOOTH, IMAGE[:9, :8], IMAGE[:2, :3]):
        data = encode(image, "JPEG", mode, **options)
        assert np.array_equal(decode(data), plain(data))
        assert np.array_equal(decode(data + b"\xff\xd8 a second picture"), plain(data))


def test_the_format_is_told_by_content_and_the_endings_are_known():
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in SUFFIXES)
    assert {Image.registered_extensions()[suffix] for suffix in SUFFIXES} == set(FORMATS)
    for kind in FORMATS:
        assert decode(encode(IMAGE, kind)).shape == IMAGE.shape


def test_a_profile_text_and_bytes_after_the_end_change_nothing():
    image = encode(IMAGE)
    text = chunk(b"tEXt", b"key\0value") + chunk(b"gAMA", struct.pack(">I", 100000)) + chunk(b"prVt", b"anything")
    assert np.array_equal(decode(image[:33] + text + image[33:] + b"trailing"), IMAGE)
    for kind in FORMATS:
        assert np.array_equal(decode(encode(IMAGE, kind) + b"trailing"), decode(encode(IMAGE, kind)))
    assert np.array_equal(decode(encode(IMAGE, icc_profile=bytes(3000))), IMAGE)
    assert np.array_equal(decode(encode(IMAGE, "TIFF", icc_profile=bytes(3000))), IMAGE)


# What is converted


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_gray_becomes_three_equal_channels(kind):
    gray = IMAGE[..., 0]
    assert np.array_equal(decode(encode(gray, kind)), np.repeat(gray[..., None], 3, axis=2))
    black_or_white = decode(encode(gray > 99, kind))
    assert np.array_equal(black_or_white, np.where((gray > 99)[..., None], np.uint8([255] * 3), np.uint8(0)))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_of_gray_reach_from_black_to_white(bits):
    values = np.resize(np.arange(2**bits, dtype=np.uint8), (2, 16))
    rows = b"".join(b"\0" + np.packbits(np.unpackbits(row[:, None], axis=1)[:, -bits:]).tobytes() for row in values)
    assert np.array_equal(decode(png(16, 2, rows, bits=bits, color=0))[..., 1], values * (255 // (2**bits - 1)))
    # The transparent color is said in the file's own bits.
    hidden = chunk(b"tRNS", struct.pack(">H", 1))
    expected = np.where(values == 1, 0, values) * (255 // (2**bits - 1))
    assert np.array_equal(decode(png(16, 2, rows, bits=bits, color=0, extra=hidden))[..., 1], expected)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_a_palette_becomes_its_colors(kind):
    data = encode(Image.fromarray(IMAGE).quantize(50), kind)
    assert np.array_equal(decode(data), plain(data))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_alpha_is_composed_onto_black(kind):
    alpha = RNG.integers(0, 256, (19, 23, 1), dtype=np.uint8)
    data = encode(np.concatenate([IMAGE, alpha], axis=2), kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {}))
    assert np.array_equal(decode(data), np.rint(IMAGE.astype(float) * alpha / 255).astype(np.uint8))
    opaque = np.concatenate([IMAGE, np.full_like(alpha, 255)], axis=2)
    assert np.array_equal(decode(encode(opaque, kind, **({"lossless": True} if kind == "WEBP" else {}))), IMAGE)


def test_alpha_of_bmp_is_what_its_masks_say():
    four = np.concatenate([IMAGE, RNG.integers(0, 256, (19, 23, 1), dtype=np.uint8)], axis=2)
    # Without masks, the fourth byte is reserved.
    assert np.array_equal(decode(encode(four, "BMP")), IMAGE)
    masks = struct.pack("<IiiHHIIiiII4I", 56, 23, -19, 1, 32, 3, 0, 0, 0, 0, 0, 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    data = b"BM" + struct.pack("<IHHI", 0, 0, 0, 70) + masks + four[..., [2, 1, 0, 3]].tobytes()
    assert np.array_equal(decode(data), np.rint(IMAGE.astype(float) * four[..., 3:] / 255).astype(np.uint8))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_gray_with_alpha_is_composed_onto_black(kind):
    values = IMAGE[..., :2]
    got = decode(encode(Image.fromarray(values, "LA"), kind))
    assert np.array_equal(got, np.repeat(np.rint(values[..., :1] * (values[..., 1:] / 255)).astype(np.uint8), 3, axis=2))


def test_transparent_palette_entries_and_a_transparent_color_are_black():
    rows = rows_of(np.uint8([[[0], [1], [2]]] * 2))
    extra = chunk(b"PLTE", bytes([10, 20, 30, 40, 50, 60, 200, 100, 50])) + chunk(b"tRNS", bytes([255, 0, 51]))
    expected = [[10, 20, 30], [0, 0, 0], [40, 20, 10]]
    assert decode(png(3, 2, rows, color=3, extra=extra)).tolist() == [expected] * 2
    image = np.uint8([[[1, 2, 3], [1, 2, 4]], [[9, 9, 9], [1, 2, 3]]])
    data = png(2, 2, rows_of(image), extra=chunk(b"tRNS", struct.pack(">3H", 1, 2, 3)))
    assert decode(data).tolist() == [[[0, 0, 0], [1, 2, 4]], [[9, 9, 9], [0, 0, 0]]]


@pytest.mark.parametrize(("color", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)], ids=["gray", "rgb", "gray+alpha", "rgb+alpha"])
def test_of_16_bits_in_png_the_upper_byte_is_kept(color, channels):
    values = RNG.integers(0, 65536, (5, 7, channels), dtype=np.uint16)
    if channels in (2, 4):
        values[..., -1] = 65535
    expected = (values[..., : 1 if channels < 3 else 3] >> 8).astype(np.uint8)
    assert np.array_equal(decode(png(7, 5, rows_of(values), bits=16, color=color)), np.broadcast_to(expected, (5, 7, 3)))


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
def test_of_16_bits_in_tiff_the_upper_byte_is_kept(order):
    values = RNG.integers(0, 65536, (5, 7, 3), dtype=np.uint16)
    data = tiff(rgb_tags(5, 7, _258=(3, [16] * 3), _279=(4, [210])), values.astype(order + "u2").tobytes(), order)
    assert np.array_equal(decode(data), values >> 8)
    for compression in ("raw", "tiff_lzw"):
        gray = encode(values[..., 0], "TIFF", compression=compression)
        assert np.array_equal(decode(gray)[..., 2], values[..., 0] >> 8)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_that_hold_a_smaller_camera_are_refused(kind):
    values = RNG.integers(0, 4096, (5, 7), dtype=np.uint16)
    refused(encode(values, kind), "no value reaches 4,096 of 65,535")
    values[0, 0] = 4096
    assert decode(encode(values, kind)).max() == 16
    refused(png(7, 5, rows_of(np.repeat(values[..., None], 3, axis=2) // 2), bits=16), "no value reaches 4,096")


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied_once(kind, orientation):
    exif = Image.Exif()
    exif[0x112] = orientation
    data = encode(SMOOTH, kind, exif=exif.tobytes(), **({"lossless": True} if kind == "WEBP" else {}))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    assert np.array_equal(decode(data), expected)
    assert decode(data).flags["C_CONTIGUOUS"]
    assert expected.shape == ((60, 50, 3) if orientation in (5, 6, 7, 8) else (50, 60, 3))


@pytest.mark.parametrize("bits", [1, 8])
@pytest.mark.parametrize("size", [(2, 2), (5, 3), (8, 8), (9, 17), (40, 33)], ids=str)
def test_interlaced_png(size, bits):
    height, width = size
    channels = 3 if bits == 8 else 1
    image = RNG.integers(0, 2**bits, (height, width, channels), dtype=np.uint8)
    rows = b""
    for left, top, across, down in ADAM7:
        part = image[top::down, left::across]
        if part.size:
            rows += rows_of(part) if bits == 8 else b"".join(b"\0" + np.packbits(row).tobytes() for row in part)
    data = png(width, height, rows, bits=bits, color=2 if bits == 8 else 0, interlace=1)
    assert np.array_equal(decode(data), np.broadcast_to(image * (1 if bits == 8 else 255), (height, width, 3)))
    refused(png(width, height, rows[:-1], bits=bits, color=2 if bits == 8 else 0, interlace=1), "truncated PNG")


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
def test_tiff_in_strips_tiles_and_planes(order):
    strips = tiff(rgb_tags(19, 23, _278=(3, [7]), _273=(4, [8, 491, 974]), _279=(4, [483, 483, 345])), IMAGE.tobytes(), order)
    assert np.array_equal(decode(strips), IMAGE)
    planes = rgb_tags(19, 23, _284=(3, [2]), _273=(4, [8, 445, 882]), _279=(4, [437] * 3))
    assert np.array_equal(decode(tiff(planes, IMAGE.transpose(2, 0, 1).tobytes(), order)), IMAGE)
    padded = np.zeros((32, 32, 3), np.uint8)
    padded[:19, :23] = IMAGE
    blocks = padded.reshape(2, 16, 2, 16, 3).swapaxes(1, 2).tobytes()
    places = (4, [8 + 768 * number for number in range(4)])
    tiles = {"_322": (3, [16]), "_323": (3, [16]), "_324": places, "_325": (4, [768] * 4), "_273": None, "_279": None, "_278": None}
    assert np.array_equal(decode(tiff(rgb_tags(19, 23, **tiles), blocks, order)), IMAGE)


def test_inverted_gray_and_premultiplied_alpha_of_tiff():
    gray = rgb_tags(19, 23, _258=(3, [8]), _262=(3, [0]), _277=None, _279=(4, [437]))
    assert np.array_equal(decode(tiff(gray, IMAGE[..., 0].tobytes()))[..., 0], 255 - IMAGE[..., 0])
    # Pillow divides by this alpha, which may move a value by one.
    colors = np.minimum(IMAGE, 250)
    alpha = np.concatenate([colors, np.full((19, 23, 1), 250, np.uint8)], axis=2)
    tags = rgb_tags(19, 23, _258=(3, [8] * 4), _277=(3, [4]), _338=(3, [1]), _279=(4, [1748]))
    assert np.abs(decode(tiff(tags, alpha.tobytes())).astype(int) - colors).max() <= 1


# What is refused


def frames(kind, **options):
    return encode(Image.fromarray(IMAGE), kind, save_all=True, append_images=[Image.fromarray(255 - IMAGE)], **options)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", r"^empty file \(0 bytes\)$"),
        (b"x" * 1234, r"^not a PNG, JPEG, TIFF, BMP or WebP image \(1,234 bytes\)$"),
        (encode(IMAGE, "GIF"), "looks like GIF"),
        (b"\n<!DOCTYPE html><title>404</title>", "looks like HTML"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer.*git lfs pull"),
        (encode(IMAGE, "PNG")[:8], "truncated PNG"),
        (frames("PNG"), r"animated PNG \(several frames\)"),
        (frames("WEBP"), r"animated WebP \(several frames\)"),
        (encode(IMAGE, "WEBP")[:-9], "truncated or damaged WebP"),
        (frames("TIFF"), "TIFF of several pages"),
        (encode(IMAGE, "JPEG", "CMYK"), "CMYK JPEG"),
        (encode(IMAGE, "TIFF", "CMYK"), "pixel mode CMYK"),
        (encode(IMAGE, "TIFF", "LAB"), "pixel mode LAB"),
        (encode(IMAGE[..., 0].astype(np.float32), "TIFF"), "floating-point"),
        (encode(IMAGE[..., 0].astype(np.int32), "TIFF"), "signed or floating-point"),
        (encode(IMAGE, "TIFF", compression="jpeg"), "TIFF compressed by jpeg"),
        (b"II+\0" + bytes(40), "BigTIFF"),
        (encode(IMAGE[:1]), r"^23 x 1 pixels, fewer than 2 on a side$"),
        (encode(IMAGE[:, :1], "BMP"), "1 x 19 pixels"),
        (png(0, 0, b""), "0 x 0 pixels"),
        (encode(np.zeros((4, 4, 4), np.uint8)), "wholly transparent"),
        (
            png(2, 2, rows_of(np.uint16([[[5, 5, 5]] * 2] * 2) << 12), bits=16, extra=chunk(b"tRNS", bytes(6))),
            "16 bits .* and a transparent",
        ),
        (
            png(3, 2, rows_of(np.uint8([[[0], [1], [2]]] * 2)), color=3, extra=chunk(b"PLTE", bytes(6))),
            "color number 2 of a palette of 2",
        ),
        (png(3, 2, rows_of(np.uint8([[[0], [1], [2]]] * 2)), color=3), "no palette"),
        (png(3, 2, bytes(20), bits=7), "values that do not exist"),
        (encode(IMAGE, "JPEG", exif=b"Exif\0\0not EXIF"), "EXIF data: damaged"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_has_no_one_meaning_is_refused_with_its_reason(data, reason):
    refused(data, reason)


def test_the_reason_for_an_empty_file_is_shared():
    refused(b"", f"^{EMPTY.replace('(', '.').replace(')', '.')}$")


def test_one_single_color_is_no_fault():
    for kind in FORMATS:
        image = np.full((20, 20, 3), 0, np.uint8)
        assert np.array_equal(decode(encode(image, kind)), image)
