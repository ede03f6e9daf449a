"""JPEG files: checked here for completeness, decoded by libjpeg through Pillow.

Source: ITU-T T.81, https://www.w3.org/Graphics/JPEG/itu-t81.pdf
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from malaria_exp.data.cell_table import BadImageError
from malaria_exp.data.decode.exif import exif_orientation
from malaria_exp.data.decode.pixels import Pixels, check_size

SOI = b"\xff\xd8"
HUFFMAN_FRAMES = (0xC0, 0xC1, 0xC2)
OTHER_FRAMES = (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
DHT, EOI, SOS, DQT, DRI, APP0, APP1, APP15, COM = 0xC4, 0xD9, 0xDA, 0xDB, 0xDD, 0xE0, 0xE1, 0xEF, 0xFE
# Encoders write about ten. Each costs a pass over the whole image, so thousands in a small file would take very long.
MAX_SCANS = 32
MARK = re.compile(rb"\xff+([^\xff])", re.DOTALL)
# Within coded data 0xFF is followed by 0 or by one of the eight restart marks.
RESTART = re.compile(rb"\xff[\xd0-\xd7]")
MARK_AFTER_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
# Inserted where coded data ends. It differs from the zeros that libjpeg uses for missing data, covers several blocks and has no 0xFF.
FILLING = 4 * bytes.fromhex("a53cd2695ab41e87c3964be17825da0f")
COEFFICIENTS = 64
NEVER_SENT = 99


@dataclass(frozen=True)
class Frame:
    """What a frame header says.

    Attributes:
        width: in pixels.
        height: in pixels.
        sampling: samples of a channel, by its id, across and down, in a square of the finest channel's samples.
    """

    width: int
    height: int
    sampling: dict[int, tuple[int, int]]

    def restarts(self, channels: bytes, interval: int) -> int:
        """Returns how many restart marks a scan of these channels needs: one after every `interval` units but the last."""
        if not interval:
            return 0
        units = 1
        for axis, side in enumerate((self.width, self.height)):
            finest = max(factors[axis] for factors in self.sampling.values())
            # A channel alone is coded by its own blocks, several by squares that hold whole blocks of each.
            units *= _ceil(_ceil(side * self.sampling[channels[0]][axis], finest), 8) if len(channels) == 1 else _ceil(side, 8 * finest)
        return _ceil(units, interval) - 1


def read_jpeg(data: bytes, max_pixels: int) -> Pixels:
    """Reads the structure up to the end mark and decodes the pixels.

    libjpeg fills coded data that ends too early with gray and says so only in a warning, which Pillow drops. So the scans have to
    bring every coefficient in full and have all their restart marks, and the image is decoded twice, the second time with bytes put
    in wherever coded data ends: if none was missing, libjpeg skips them and no pixel changes.

    Args:
        data: the file's bytes, beginning with `SOI`. Bytes after the end mark are allowed; of a file of several pictures (MPO), the
            first is read.
        max_pixels: the largest size.

    Raises:
        BadImageError: damaged, cut off, CMYK, not 8-bit, too large, or in one of the codings that are hardly in use.
    """
    frame, exif, interval, scans, ends = None, b"", 0, 0, []
    # By channel and coefficient, the lowest bit that was sent.
    lowest: dict[int, list[int]] = {}
    for kind, content, start, end in _parts(data):
        if kind in HUFFMAN_FRAMES:
            if frame:
                raise BadImageError("damaged JPEG: two frame headers")
            frame = _frame(content, max_pixels)
            lowest = {channel: [NEVER_SENT] * COEFFICIENTS for channel in frame.sampling}
        elif kind == DRI:
            interval = int.from_bytes(content, "big")
        elif kind == APP1 and content.startswith(b"Exif\0\0"):
            exif += content[6:]
        elif kind == SOS:
            channels, (first, last, bits) = content[1:-3:2], content[-3:]
            if frame is None or not channels or not set(channels) <= set(lowest) or last >= COEFFICIENTS:
                raise BadImageError("damaged JPEG: a scan that does not fit its frame header")
            for channel in channels:
                lowest[channel][first : last + 1] = [bits & 15] * (last + 1 - first)
            restarts = [mark.start() for mark in RESTART.finditer(data, start, end)]
            if len(restarts) < frame.restarts(channels, interval):
                raise BadImageError("truncated JPEG: restart marks are missing")
            ends += [*restarts, end]
            scans += 1
            if scans > MAX_SCANS:
                raise BadImageError(f"JPEG of more than {MAX_SCANS} scans")
    if frame is None or any(any(bits) for bits in lowest.values()):
        raise BadImageError("truncated JPEG: not all of its pixel data is there")
    mode = "L" if len(lowest) == 1 else "RGB"
    # Not by Image.open: where some library set Pillow's LOAD_TRUNCATED_IMAGES, it lets damage pass.
    image, filled = (Image.frombytes(mode, (frame.width, frame.height), coded, "jpeg", mode, "") for coded in (data, _fill(data, ends)))
    if not np.array_equal(np.asarray(image), np.asarray(filled)):
        raise BadImageError("truncated or damaged JPEG: pixel data is missing")
    return Pixels(image, orientation=exif_orientation(exif))


def _ceil(number: int, divisor: int) -> int:
    return -(-number // divisor)


def _parts(data: bytes) -> Iterator[tuple[int, bytes, int, int]]:
    """Yields (marker, content, start, end) of each part before the end mark; start to end is the coded data after it."""
    at = len(SOI)
    while True:
        found = MARK.match(data, at)
        if not found:
            cut = not data[at:].strip(b"\xff")
            raise BadImageError("truncated JPEG: no end mark" if cut else "damaged JPEG: no mark where one has to be")
        kind, at = found[1][0], found.end()
        if kind == EOI:
            return
        if kind in OTHER_FRAMES:
            raise BadImageError("JPEG in lossless or arithmetic coding; expected baseline or progressive with Huffman codes")
        if kind not in (*HUFFMAN_FRAMES, DHT, SOS, DQT, DRI, COM) and not APP0 <= kind <= APP15:
            raise BadImageError(f"damaged JPEG: unexpected mark {kind:02x}")
        length = int.from_bytes(data[at : at + 2], "big")
        content, at = data[at + 2 : at + length], at + length
        if length < 2 or at > len(data):
            raise BadImageError("truncated or damaged JPEG: a part is longer than the file")
        after = MARK_AFTER_SCAN.search(data, at) if kind == SOS else None
        if kind == SOS and not after:
            raise BadImageError("truncated JPEG: no end mark")
        start, at = at, after.start() if after else at
        yield kind, content, start, at


def _frame(content: bytes, max_pixels: int) -> Frame:
    precision, height, width, channels = struct.unpack_from(">BHHB", content)
    if channels == 4:
        raise BadImageError("CMYK JPEG: print colors have no one way back to RGB")
    if precision != 8 or channels not in (1, 3):
        raise BadImageError(f"JPEG of {channels} channels with {precision} bits each; expected 1 or 3 with 8 bits each")
    check_size(width, height, max_pixels)
    sampling = {channel: (factors >> 4, factors & 15) for channel, factors, _ in struct.iter_unpack("BBB", content[6:])}
    if len(sampling) != channels or not all(across and down for across, down in sampling.values()):
        raise BadImageError("damaged JPEG: channels that do not fit its frame header")
    return Frame(width, height, sampling)


def _fill(data: bytes, ends: list[int]) -> bytes:
    """Returns the file with `FILLING` at each end of coded data."""
    return b"".join(part for start, end in zip([0, *ends], [*ends, len(data)], strict=True) for part in (FILLING, data[start:end]))[
        len(FILLING) :
    ]
