"""PNG files: every checksum is checked, and exactly as many pixels as the header says must be there.

Pillow checks less: it stops at the last row, and makes the rows black that are missing at the end.
Source: PNG specification, third edition, https://www.w3.org/TR/png-3/
"""

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from malaria_exp.data.cell_table import BadImageError
from malaria_exp.data.decode.exif import exif_orientation
from malaria_exp.data.decode.pixels import Pixels, check_size

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GRAY, RGB, PALETTE, GRAY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
CHANNELS = {GRAY: 1, RGB: 3, PALETTE: 1, GRAY_ALPHA: 2, RGB_ALPHA: 4}
# (color type, bits a channel) to Pillow's mode and raw mode; no other pair is a PNG.
MODES = {
    (GRAY, 1): ("1", "1"),
    (GRAY, 2): ("L", "L;2"),
    (GRAY, 4): ("L", "L;4"),
    (GRAY, 8): ("L", "L"),
    (GRAY, 16): ("I;16", "I;16B"),
    (RGB, 8): ("RGB", "RGB"),
    (RGB, 16): ("RGB", "RGB;16B"),
    (PALETTE, 1): ("P", "P;1"),
    (PALETTE, 2): ("P", "P;2"),
    (PALETTE, 4): ("P", "P;4"),
    (PALETTE, 8): ("P", "P"),
    (GRAY_ALPHA, 8): ("LA", "LA"),
    (GRAY_ALPHA, 16): ("RGBA", "LA;16B"),
    (RGB_ALPHA, 8): ("RGBA", "RGBA"),
    (RGB_ALPHA, 16): ("RGBA", "RGBA;16B"),
}
# First column, first row, step in columns and in rows of Adam7's seven passes.
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
READ = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf")


def read_png(data: bytes, max_pixels: int) -> Pixels:
    """Checks every chunk up to IEND and decodes the pixels.

    Text, time, color profile and private chunks are checked for damage and not unpacked, so that they cannot be decompression bombs.
    Bytes after IEND are allowed.

    Args:
        data: the file's bytes, beginning with `SIGNATURE`.
        max_pixels: the largest size.

    Raises:
        BadImageError: damaged, cut off, animated, or too large.
    """
    chunks: dict[bytes, list[memoryview]] = {kind: [] for kind in READ}
    last = b""
    for kind, content in _walk(data):
        if not last and kind != b"IHDR":
            raise BadImageError("damaged PNG: it does not begin with its header")
        if kind == b"acTL":
            raise BadImageError("animated PNG (several frames)")
        if kind == b"IDAT" and chunks[kind] and last != kind:
            raise BadImageError("damaged PNG: its pixel data is not in one piece")
        if kind in chunks:
            chunks[kind].append(content)
        elif kind[0] < ord("a") and kind != b"IEND":
            raise BadImageError(f"damaged PNG: unknown part {kind!r}")
        last = kind
    if not chunks[b"IDAT"] or any(len(chunks[kind]) > 1 for kind in READ if kind != b"IDAT"):
        raise BadImageError("damaged PNG: parts are missing or there twice")
    header = chunks[b"IHDR"][0]
    if len(header) != 13:
        raise BadImageError("damaged PNG: header of a wrong length")
    width, height, bits, color, compression, filtering, interlace = struct.unpack(">IIBBBBB", header)
    if (color, bits) not in MODES or compression or filtering or interlace > 1:
        raise BadImageError("damaged PNG: its header has values that do not exist")
    check_size(width, height, max_pixels)
    mode, raw_mode = MODES[color, bits]
    rows = _inflate(b"".join(chunks[b"IDAT"]), _length(width, height, bits * CHANNELS[color], interlace))
    # Stored instead of deflated: the pixels are inflated once only, and Pillow undoes the filters.
    image = Image.frombytes(mode, (width, height), zlib.compress(rows, 0), "zip", raw_mode, interlace)
    return Pixels(
        image,
        bits,
        exif_orientation(b"".join(chunks[b"eXIf"])),
        _palette(chunks[b"PLTE"], chunks[b"tRNS"]) if color == PALETTE else None,
        _transparent_color(chunks[b"tRNS"][0], bits, color) if chunks[b"tRNS"] and color in (GRAY, RGB) else None,
    )


def _walk(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yields (kind, content) of each chunk up to IEND, its checksum checked."""
    view, at = memoryview(data), len(SIGNATURE)
    kind = b""
    while kind != b"IEND":
        if at + 12 > len(data):
            raise BadImageError("truncated PNG: it has no end mark")
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 8 + length
        if not kind.isalpha():
            raise BadImageError(f"damaged PNG: {kind!r} is no name of a part")
        if end + 4 > len(data):
            raise BadImageError(f"truncated PNG: it ends within its part {kind.decode()}")
        if zlib.crc32(view[at + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            raise BadImageError(f"damaged PNG: wrong checksum of its part {kind.decode()}")
        yield kind, view[at + 8 : end]
        at = end + 4


def _length(width: int, height: int, bits: int, interlace: int) -> int:
    """Returns the bytes of all rows, each with its filter's number in front, of pixels of `bits` bits."""
    passes = ADAM7 if interlace else ((0, 0, 1, 1),)
    sizes = (((width - left + across - 1) // across, (height - top + down - 1) // down) for left, top, across, down in passes)
    return sum(rows * (1 + (columns * bits + 7) // 8) for columns, rows in sizes if columns > 0 and rows > 0)


def _inflate(stream: bytes, length: int) -> bytes:
    """Returns the inflated rows; never more than one byte beyond `length` is inflated."""
    inflater = zlib.decompressobj()
    try:
        rows = inflater.decompress(stream, length + 1)
    except zlib.error as error:
        raise BadImageError(f"damaged PNG: {error}") from None
    if len(rows) > length:
        raise BadImageError("damaged PNG: more pixel data than its size needs")
    if len(rows) < length:
        raise BadImageError(f"truncated PNG: {len(rows):,} of {length:,} bytes of pixel data")
    if not inflater.eof:
        raise BadImageError("truncated PNG: the checksum of its pixel data is missing")
    return rows


def _palette(colors: list[memoryview], alphas: list[memoryview]) -> np.ndarray:
    if not colors or not 0 < len(colors[0]) <= 768 or len(colors[0]) % 3:
        raise BadImageError("damaged PNG: no palette, or one of a wrong length")
    palette = np.full((len(colors[0]) // 3, 4), 255, np.uint8)
    palette[:, :3] = np.frombuffer(colors[0], np.uint8).reshape(-1, 3)
    if alphas:
        if len(alphas[0]) > len(palette):
            raise BadImageError("damaged PNG: transparency of more colors than its palette has")
        palette[: len(alphas[0]), 3] = np.frombuffer(alphas[0], np.uint8)
    return palette


def _transparent_color(content: memoryview, bits: int, color: int) -> tuple[int, ...]:
    if len(content) != 2 * CHANNELS[color]:
        raise BadImageError("damaged PNG: transparent color of a wrong length")
    if bits == 16:
        # After 16 bits became 8, neighboring colors would be transparent too.
        raise BadImageError("16 bits a channel and a transparent color; expected one or the other")
    top = 2**bits - 1
    return tuple((value & top) * 255 // top for value in struct.unpack(f">{CHANNELS[color]}H", content))
