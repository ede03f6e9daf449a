"""Cut, damaged and malicious image files: an image without a fault, or a BadImageError, and never long work or much memory."""

import struct
import threading
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from image_files import IMAGE, LOSSLESS, SMOOTH, chunk, encode, plain, png, refused, rgb_tags, rows_of, tiff
from PIL import Image, ImageFile

from malaria_exp.data.cell_table import BadImageError
from malaria_exp.data.decode import MAX_PIXELS, decode

# The decoder hides these warnings, and pytest shows them again.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")


def outcome(data):
    """The decoded image or None; anything but an RGB image or a BadImageError fails the test."""
    try:
        image = decode(data)
    except BadImageError:
        return None
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    return image


# What is cut off or damaged


@pytest.mark.parametrize("image", [IMAGE, np.zeros((19, 23, 3), np.uint8)], ids=["noise", "black"])
def test_a_png_whose_rows_end_early_but_cleanly_is_refused(image):
    # Pillow alone takes this for an image with rows of black.
    data = png(23, 19, rows_of(image)[:-70])
    assert plain(data).shape == (19, 23, 3)
    refused(data, r"truncated PNG: 1,260 of 1,330 bytes of pixel data")


def test_a_png_stream_without_or_with_a_wrong_checksum_is_refused():
    stream = zlib.compress(rows_of(IMAGE))
    refused(png(23, 19, b"", stream=stream[:-2]), "checksum of its pixel data is missing")
    refused(png(23, 19, b"", stream=stream[:-1] + bytes([stream[-1] ^ 1])), "incorrect data check")
    refused(png(23, 19, rows_of(IMAGE) + b"\0" * 70), "more pixel data")


def test_a_png_needs_its_parts_once_and_in_order():
    data = png(23, 19, rows_of(IMAGE))
    header, rest = data[8:33], data[33:]
    refused(data[:8] + rest, "does not begin with its header")
    refused(data[:33] + header + rest, "there twice")
    refused(data[:33] + chunk(b"IEND"), "parts are missing")
    refused(data[:33] + chunk(b"ABCD") + rest, "unknown part")
    refused(data[:-12] + chunk(b"tIME", bytes(7)) + chunk(b"IDAT") + data[-12:], "not in one piece")


@pytest.mark.parametrize(("kind", "options"), [*LOSSLESS, ("JPEG", {}), ("JPEG", {"progressive": True}), ("WEBP", {})], ids=str)
def test_a_file_cut_off_anywhere_is_refused_or_lacks_no_pixel(kind, options):
    data = encode(SMOOTH, kind, **options)
    whole, refusals = decode(data), 0
    for length in range(len(data) % 7, len(data), 1 if len(data) < 1000 else 7):
        got = outcome(data[:length])
        refusals += got is None
        assert got is None or np.array_equal(got, whole), length
    assert refusals > 0


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 2}, {"subsampling": 0, "quality": 95}], ids=str)
def test_a_jpeg_with_an_end_mark_after_the_cut_is_refused(options):
    # Pillow alone fills what is missing with gray.
    data = encode(SMOOTH, "JPEG", **options)
    whole, start = decode(data), data.index(b"\xff\xda") + 14
    for length in range(start, len(data) - 2, 3):
        got = outcome(data[:length] + b"\xff\xd9")
        assert got is None or np.array_equal(got, whole), length


@pytest.mark.parametrize("lossless", [True, False])
def test_a_cut_webp_with_its_sizes_set_right_is_refused(lossless):
    data = encode(IMAGE, "WEBP", lossless=lossless)
    for length in range(40, len(data) - 8, 6):
        cut = bytearray(data[:length])
        cut[4:8], cut[16:20] = struct.pack("<I", length - 8), struct.pack("<I", length - 20)
        assert outcome(bytes(cut)) is None, length


def test_tiff_strips_that_do_not_cover_the_image_are_refused():
    # Pillow alone leaves what they do not cover black.
    for changes, reason in [
        ({"_278": (3, [7])}, "1 strips or tiles that do not cover"),
        ({"_278": (3, [7]), "_273": (4, [8] * 9000)}, "9000 strips or tiles that do not cover"),
        ({"_284": (3, [2])}, "1 strips or tiles that do not cover"),
        ({"_273": (4, [5000])}, "fewer pixels"),
        ({"_257": (3, [500]), "_278": None}, "fewer pixels"),
        ({"_278": (3, [0])}, "damaged TIFF"),
        ({"_277": (3, [4]), "_258": (3, [8] * 4)}, "fewer pixels"),
    ]:
        refused(tiff(rgb_tags(19, 23, **changes), IMAGE.tobytes()), reason)


def test_pillows_switch_for_truncated_images_changes_nothing(monkeypatch):
    files = [encode(SMOOTH, kind, **options) for kind, options in [*LOSSLESS, ("JPEG", {}), ("JPEG", {"progressive": True})]]
    cuts = [data[: len(data) * part // 10] for data in files for part in range(1, 10)]
    broken = png(23, 19, b"\x09" + rows_of(IMAGE)[1:])
    huffman = bytearray(files[-2])
    table = huffman.index(b"\xff\xc4") + 5
    huffman[table : table + 16] = b"\xff" * 16
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for data in [*cuts, broken, bytes(huffman)]:
        assert outcome(data) is None


# Bombs


@pytest.mark.parametrize("width", [MAX_PIXELS // 4096 + 1, 60_000])
def test_a_bomb_is_refused_by_its_header(width, monkeypatch):
    frame = bytearray(encode(IMAGE, "JPEG"))
    place = frame.index(b"\xff\xc0") + 5
    frame[place : place + 4] = struct.pack(">HH", width, width)
    bmp = bytearray(encode(IMAGE, "BMP"))
    bmp[18:26] = struct.pack("<ii", width, width)
    # The format cannot say more.
    side = min(width, 2**14)
    webp = bytearray(encode(IMAGE, "WEBP", lossless=True))
    webp[21:25] = struct.pack("<I", (side - 1) << 14 | (side - 1))
    bombs = [
        png(width, width, bytes(10_000)),
        bytes(frame),
        bytes(bmp),
        tiff(rgb_tags(19, 23, _256=(4, [width]), _257=(4, [width])), IMAGE.tobytes()),
    ]
    tracemalloc.start()
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("pixels were decoded"))
    for bomb in bombs:
        refused(bomb, f"{width:,} x {width:,} pixels, more than 16,777,216")
    refused(bytes(webp), "more than 16,777,216")
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_what_is_packed_beside_the_pixels_is_not_unpacked():
    bomb = zlib.compress(bytes(2**26), 9)
    image = encode(IMAGE)
    parts = [b"iCCP" + b"name\0\0" + bomb, b"zTXt" + b"key\0\0" + bomb, b"iTXt" + b"key\0\1\0\0\0" + bomb]
    packed = image[:33] + b"".join(chunk(part[:4], part[4:]) for part in parts) + image[33:]
    tracemalloc.start()
    assert np.array_equal(decode(packed), IMAGE)
    refused(png(23, 19, b"", stream=bomb), "more pixel data")
    assert tracemalloc.get_traced_memory()[1] < 2**21
    tracemalloc.stop()


def test_bombs_of_scans_and_tiles_are_refused():
    data = encode(SMOOTH, "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    refused(data[:start] + data[start:-2] * 100 + data[-2:], "more than 32 scans")
    tiles = {"_322": (4, [10**6]), "_323": (4, [10**6]), "_324": (4, [8]), "_325": (4, [1311]), "_273": None, "_279": None, "_278": None}
    refused(tiff(rgb_tags(19, 23, _259=(3, [8]), **tiles), IMAGE.tobytes()), "tiles of 1,000,000 x 1,000,000")


# Anything at all: benchmarks/fuzz_images.py has mutated files of every kind, and zips


def flipped_bits():
    """A PNG of true color, and one whose colors, transparency and orientation stand in parts beside the pixels."""
    exif = Image.Exif()
    exif[0x112] = 3
    return [encode(IMAGE[:9, :9]), encode(Image.fromarray(IMAGE[:9, :9]).quantize(4), transparency=1, exif=exif.tobytes())]


@pytest.mark.parametrize("data", flipped_bits(), ids=["rgb", "palette"])
def test_one_flipped_bit_in_a_png_is_refused_or_harmless(data):
    whole = decode(data)
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        got = outcome(bytes(flipped))
        assert got is None or np.array_equal(got, whole), bit


def test_several_threads_at_once():
    files = [encode(IMAGE, kind, **options) for kind, options in LOSSLESS] + [encode(IMAGE, "JPEG"), b"bad", encode(IMAGE)[:300]]
    expected = [outcome(data) for data in files]
    barrier = threading.Barrier(4)

    def work(_):
        barrier.wait()
        return [[outcome(data) for data in files] for _ in range(5)]

    with ThreadPoolExecutor(4) as pool:
        for rounds in pool.map(work, range(4)):
            for got in rounds:
                assert all((a is None and b is None) or np.array_equal(a, b) for a, b in zip(got, expected, strict=True))
