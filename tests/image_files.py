"""Image files for tests, byte by byte: also what no friendly encoder would write."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from malaria_exp.data.cell_table import BadImageError
from malaria_exp.data.decode import decode

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (19, 23, 3), dtype=np.uint8)
SMOOTH = np.stack(np.broadcast_arrays(np.arange(50)[:, None] * 5, np.arange(60) * 4, 90), axis=-1).astype(np.uint8)
LOSSLESS = [("PNG", {}), ("TIFF", {}), ("BMP", {}), ("WEBP", {"lossless": True})] + [
    ("TIFF", {"compression": name}) for name in ("tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits")
]


def encode(image, kind="PNG", mode=None, **options):
    out = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    (picture.convert(mode) if mode else picture).save(out, kind, **options)
    return out.getvalue()


def plain(data):
    """What Pillow alone makes of a file."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def chunk(kind, data=b""):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, rows, *, bits=8, color=2, interlace=0, extra=b"", stream=None):
    """A PNG from its chunks: what no friendly encoder would write."""
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, interlace)
    idat = zlib.compress(rows) if stream is None else stream
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", idat) + chunk(b"IEND")


def rows_of(values):
    """Rows of a PNG without filters: uint8 or uint16 (height, width, channels)."""
    return b"".join(b"\0" + row.astype(">u2" if row.dtype == np.uint16 else np.uint8).tobytes() for row in values)


def tiff(tags, pixels, order="<"):
    """A TIFF from its tags, (kind, values) by number; the pixels begin at byte 8."""
    start = 8 + len(pixels) + len(pixels) % 2
    entries, values, at = b"", b"", start + 2 + 12 * len(tags) + 4
    for tag, (kind, numbers) in sorted(tags.items()):
        content = struct.pack(f"{order}{len(numbers)}{ {1: 'B', 3: 'H', 4: 'I'}[kind] }", *numbers)
        place = content.ljust(4, b"\0") if len(content) <= 4 else struct.pack(order + "I", at + len(values))
        values += b"" if len(content) <= 4 else content
        entries += struct.pack(order + "HHI", tag, kind, len(numbers)) + place
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", start)
    return header + pixels.ljust(start - 8, b"\0") + struct.pack(order + "H", len(tags)) + entries + bytes(4) + values


def rgb_tags(height, width, **changes):
    size = height * width * 3
    tags = {256: (3, [width]), 257: (3, [height]), 258: (3, [8, 8, 8]), 259: (3, [1]), 262: (3, [2]), 273: (4, [8]), 277: (3, [3])}
    tags |= {278: (3, [height]), 279: (4, [size])} | {int(tag[1:]): value for tag, value in changes.items()}
    return {tag: value for tag, value in tags.items() if value}


def refused(data, reason):
    with pytest.raises(BadImageError, match=reason) as caught:
        decode(data)
    assert len(str(caught.value)) < 200 and "0x" not in str(caught.value)
