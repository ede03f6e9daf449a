"""TIFF files and, as EXIF data has the same form, the EXIF orientation of every other format.

Source: TIFF 6.0, https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf; EXIF 2.32, CIPA DC-008
"""

import io
import struct
from collections.abc import Set

import numpy as np
from PIL import Image

from malaria_exp.data.cell_table import BadImageError
from malaria_exp.data.decode.container import MAX_PIXELS, Pixels, check_size

SIGNATURES = (b"II*\0", b"MM\0*")
BIG_SIGNATURES = (b"II+\0", b"MM\0+")
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES, PLANAR, PREDICTOR = 273, 274, 277, 278, 279, 284, 317
COLOR_MAP, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES, EXTRA_SAMPLES, SAMPLE_FORMAT = 320, 322, 323, 324, 325, 338, 339
PIXEL_TAGS = {WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES}
PIXEL_TAGS |= {PLANAR, PREDICTOR, COLOR_MAP, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES, EXTRA_SAMPLES, SAMPLE_FORMAT}
TYPES = {1: "B", 3: "H", 4: "I"}
NO_COMPRESSION = 1
# Lossless, and libtiff refuses damaged data in them: nothing, LZW, deflate under both its numbers, PackBits.
COMPRESSIONS = (NO_COMPRESSION, 5, 8, 32946, 32773)
OTHER_COLORS = {4: "a mask", 5: "CMYK", 6: "YCbCr", 8: "LAB", 9: "LAB", 10: "LAB"}
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE = 0, 1, 2, 3
NO_ALPHA, PREMULTIPLIED_ALPHA, ALPHA = 0, 1, 2
TOGETHER, SEPARATE = 1, 2

Directory = dict[int, tuple[int, ...]]


def exif_orientation(data: bytes) -> int:
    """Returns the orientation in EXIF data, 1 to 8, by default 1; raises BadImageError if the data cannot be read."""
    data = data.removeprefix(b"Exif\0\0")
    try:
        values = _read_directory(data, {ORIENTATION})[0].get(ORIENTATION, (1,)) if data else (1,)
    except BadImageError as error:
        raise BadImageError(f"EXIF data: {error}") from None
    return _orientation(values)


def read_tiff(data: bytes) -> Pixels:
    """Checks the one directory of a TIFF and decodes the pixels.

    Pillow is given the same pixel data under a directory that holds nothing but what was checked here: no color profile, no
    text, no further pages.

    Args:
        data: the file's bytes, beginning with one of `SIGNATURES`.

    Raises:
        BadImageError: damaged, cut off, several pages, too large, or of colors, bits or compressions that have no one way to
            8-bit RGB.
    """
    tags, following = _read_directory(data, PIXEL_TAGS)
    if following:
        raise BadImageError("TIFF of several pages")
    width, height = (_one(tags, tag) for tag in (WIDTH, HEIGHT))
    check_size(width, height)
    bits = _check_colors(tags)
    _check_pieces(tags, width, height, bits, len(data))
    if tags.get(EXTRA_SAMPLES) == (PREMULTIPLIED_ALPHA,):
        # Colors that are multiplied by alpha already are what composing onto black gives.
        tags[EXTRA_SAMPLES] = (NO_ALPHA,)
    orientation = _orientation(tags.pop(ORIENTATION, (1,)))
    image = Image.open(io.BytesIO(_with_directory(data, tags)), formats=("TIFF",))
    image.load()
    return Pixels(image, bits, orientation)


def _orientation(values: tuple[int, ...]) -> int:
    return values[0] if values and 1 <= values[0] <= 8 else 1


def _read_directory(data: bytes, wanted: Set[int]) -> tuple[Directory, int]:
    """Returns the wanted tags of the first directory, numbers only, and the position of the next directory or 0."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        raise BadImageError("damaged TIFF header")
    found: Directory = {}
    try:
        start = struct.unpack_from(order + "I", data, 4)[0]
        end = start + 2 + 12 * struct.unpack_from(order + "H", data, start)[0]
        if end > len(data):
            raise struct.error
        for tag, kind, number, content in struct.iter_unpack(order + "HHI4s", data[start + 2 : end]):
            if tag in wanted and kind in TYPES:
                form = f"{order}{number}{TYPES[kind]}"
                inline = struct.calcsize(form) <= 4
                found[tag] = struct.unpack_from(form, content if inline else data, 0 if inline else struct.unpack(order + "I", content)[0])
        # Some writers of EXIF data end it without the position of a next directory.
        return found, int.from_bytes(data[end : end + 4], "little" if order == "<" else "big")
    except (struct.error, OverflowError):
        raise BadImageError("truncated or damaged TIFF: its directory points outside of the file") from None


def _with_directory(data: bytes, tags: Directory) -> bytes:
    """Returns the file with another directory, at its end, instead of its own."""
    order = "<" if data[:2] == b"II" else ">"
    start = len(data) + len(data) % 2
    entries, values, at = b"", b"", start + 2 + 12 * len(tags) + 4
    for tag in sorted(tags):
        # Positions and sizes need 32 bits, all else fits 16; widths may have either.
        kind = 4 if tag in (STRIP_OFFSETS, STRIP_BYTES, TILE_OFFSETS, TILE_BYTES, WIDTH, HEIGHT, ROWS_PER_STRIP) else 3
        content = struct.pack(f"{order}{len(tags[tag])}{TYPES[kind]}", *tags[tag])
        if len(content) > 4:
            place = struct.pack(order + "I", at + len(values))
            values += content
        else:
            place = content.ljust(4, b"\0")
        entries += struct.pack(order + "HHI", tag, kind, len(tags[tag])) + place
    directory = struct.pack(order + "H", len(tags)) + entries + bytes(4) + values
    return data[:4] + struct.pack(order + "I", start) + data[8:].ljust(start - 8, b"\0") + directory


def _one(tags: Directory, tag: int, default: int | None = None) -> int:
    """Returns a tag's only value."""
    values = tags.get(tag, () if default is None else (default,))
    if len(values) != 1:
        raise BadImageError(f"damaged TIFF: its tag {tag} has {len(values)} values, expected 1")
    return values[0]


def _check_colors(tags: Directory) -> int:
    """Returns the bits a channel; raises BadImageError for colors that cannot be made RGB in one way."""
    colors, samples = _one(tags, PHOTOMETRIC), _one(tags, SAMPLES, 1)
    if colors not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE):
        raise BadImageError(f"TIFF in {OTHER_COLORS.get(colors, f'colors of kind {colors}')}; expected gray, RGB or a palette")
    if set(tags.get(SAMPLE_FORMAT, (1,))) != {1}:
        raise BadImageError("TIFF of signed or floating-point numbers; expected whole numbers from 0")
    extra = tags.get(EXTRA_SAMPLES, ())
    expected = (3 if colors == RGB else 1) + len(extra)
    if samples != expected or len(extra) > 1 or not set(extra) <= {NO_ALPHA, PREMULTIPLIED_ALPHA, ALPHA}:
        raise BadImageError(f"TIFF of {samples} channels; expected {3 if colors == RGB else 1}, or one more that says it is alpha")
    depths = tags.get(BITS, (1,))
    bits = depths[0] if depths else 0
    if colors == WHITE_IS_ZERO and extra:
        raise BadImageError("TIFF of inverted gray with alpha")
    allowed = {RGB: (8, 16), PALETTE: (1, 2, 4, 8), BLACK_IS_ZERO: (1, 2, 4, 8, 16), WHITE_IS_ZERO: (1, 2, 4, 8)}[colors]
    if extra and colors != RGB:
        allowed = (8,)
    if set(depths) != {bits} or len(depths) not in (1, samples) or bits not in allowed:
        raise BadImageError(f"TIFF with {', '.join(map(str, depths[:8]))} bits; expected {', '.join(map(str, allowed))} in each channel")
    tags[BITS] = (bits,) * samples
    if colors == PALETTE and len(tags.get(COLOR_MAP, ())) != 3 * 2**bits:
        raise BadImageError("damaged TIFF: no palette, or one of a wrong length")
    return bits


def _check_pieces(tags: Directory, width: int, height: int, bits: int, file_size: int) -> None:
    """Checks that strips or tiles of pixel data cover the image and lie within the file."""
    compression, planar, samples = _one(tags, COMPRESSION, NO_COMPRESSION), _one(tags, PLANAR, TOGETHER), len(tags[BITS])
    if compression not in COMPRESSIONS:
        raise BadImageError(f"TIFF compressed by method {compression}; expected none, LZW, deflate or PackBits")
    if _one(tags, FILL_ORDER, 1) != 1 or _one(tags, PREDICTOR, 1) not in (1, 2):
        raise BadImageError("TIFF with bits or differences in an order that is hardly in use")
    if planar not in (TOGETHER, SEPARATE) or (planar == SEPARATE and tags[BITS] != (8, 8, 8)):
        raise BadImageError("TIFF with separate planes; they are read for RGB of 8 bits only")
    if TILE_OFFSETS in tags:
        across, down = _one(tags, TILE_WIDTH), _one(tags, TILE_HEIGHT)
        offsets, sizes = tags[TILE_OFFSETS], tags.get(TILE_BYTES, ())
        for tag in (STRIP_OFFSETS, STRIP_BYTES, ROWS_PER_STRIP):
            tags.pop(tag, None)
    else:
        across, down = width, min(_one(tags, ROWS_PER_STRIP, height), height)
        offsets, sizes = tags.get(STRIP_OFFSETS, ()), tags.get(STRIP_BYTES, ())
        tags[ROWS_PER_STRIP] = (down,)
    # A tile may be larger than the image, within bounds: it is inflated whole.
    if not across or not down or across * down > MAX_PIXELS:
        raise BadImageError(f"damaged TIFF: strips or tiles of {across:,} x {down:,} pixels")
    rows = -(-height // down)
    pieces = -(-width // across) * rows * (samples if planar == SEPARATE else 1)
    if len(offsets) != pieces or len(sizes) != pieces:
        raise BadImageError(f"truncated or damaged TIFF: {len(offsets)} strips or tiles; its size needs {pieces}")
    if (np.array(offsets, np.int64) + np.array(sizes, np.int64)).max() > file_size:
        raise BadImageError("truncated TIFF: pixel data lies outside of the file")
    if compression == NO_COMPRESSION:
        heights = np.full(pieces, down)
        if TILE_OFFSETS not in tags:
            heights[rows - 1 :: rows] = height - (rows - 1) * down
        if (np.array(sizes) < heights * ((across * (1 if planar == SEPARATE else samples) * bits + 7) // 8)).any():
            raise BadImageError("truncated TIFF: fewer pixels than its size needs")
