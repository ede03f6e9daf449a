"""The one decoder of image files: RGB, or the reason why not.

Every image goes through here: in training, in evaluation, and wherever a finished model is used.
"""

import io
import struct

import numpy as np
from PIL import Image

from malaria_exp.data.cell_table import BadImageError
from malaria_exp.data.decode.container import Pixels, check_size
from malaria_exp.data.decode.jpeg import SOI, read_jpeg
from malaria_exp.data.decode.png import SIGNATURE, read_png
from malaria_exp.data.decode.tiff import BIG_SIGNATURES, SIGNATURES, exif_orientation, read_tiff

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
EMPTY = "empty file (0 bytes)"
# First bytes of what is found in folders of images, or comes instead of an image from a failed download.
OTHER_FILES = {b"GIF8": "GIF", b"%PDF": "PDF", b"PK\3\4": "zip", b"<": "HTML or XML", b"\0\0\0\x0cjP  ": "JPEG 2000", b"8BPS": "Photoshop"}
WEBP_ANIMATED, WEBP_SIGNATURE = 0x02, b"\x9d\x01\x2a"
BMP_PLAIN, BMP_BITFIELDS = 0, 3
# Cameras of 12 bits and fewer reach 4,095 at most: an upper byte of 15.
LOWEST_BRIGHT_BYTE = 16


def decode(data: bytes) -> np.ndarray:
    """Decodes the bytes of an image file.

    The format is told by content, never by a file's name. What keeps its meaning is converted:

    * gray and black-and-white: all three channels equal; a palette: its colors;
    * alpha and transparent colors: composed onto black, as outside of a cell is black in this data;
    * 16 bits a channel: the upper byte, so that full scale stays full scale;
    * EXIF orientation (of TIFF its own orientation): applied. Orientation in XMP or text is not looked for.

    Color profiles and gamma are ignored: pixels are taken as they are, as by every other reader of this data.

    A PNG's checksums, length and end are checked, and so is that a JPEG's coded data is complete, also where an end mark was put
    after a cut. What no format can show stays unseen: only PNG and deflated TIFF have checksums of their pixels, so that a flipped
    bit in another file may give other pixels. Bytes after an image's end are allowed. On damaged compressed TIFF, libtiff writes
    a line of its own to the error stream, which Pillow has no way to stop.

    Args:
        data: the file's bytes: PNG, JPEG, TIFF, BMP or WebP.

    Returns:
        RGB, uint8 (height, width, 3).

    Raises:
        BadImageError: empty; another format; truncated or damaged; several frames or pages; CMYK, LAB or numbers that are no
            brightness; 16 bits that hold a smaller camera's values; more than `MAX_PIXELS` pixels; a side of one pixel. No other
            exception leaves this function. It may be called from several threads at once.
    """
    if not data:
        raise BadImageError(EMPTY)
    name = _format(data)
    try:
        pixels = {"PNG": read_png, "JPEG": read_jpeg, "TIFF": read_tiff, "BMP": _read_bmp, "WEBP": _read_webp}[name](data)
        return _orient(_to_rgb(pixels), pixels.orientation)
    except BadImageError:
        raise
    except Image.UnidentifiedImageError:
        raise BadImageError(f"damaged {_spelled(name)}: its header cannot be read") from None
    except Exception as error:  # noqa: BLE001 - Pillow raises many types on damaged files; all mean the same here
        raise BadImageError(f"damaged {_spelled(name)}: {error}") from None


def _spelled(name: str) -> str:
    return "WebP" if name == "WEBP" else name


def _format(data: bytes) -> str:
    """Returns one of `FORMATS` by the first bytes; raises BadImageError for anything else."""
    if data.startswith(SIGNATURE):
        return "PNG"
    if data.startswith(SOI + b"\xff"):
        return "JPEG"
    if data.startswith(SIGNATURES):
        return "TIFF"
    if data.startswith(b"BM"):
        return "BMP"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith(BIG_SIGNATURES):
        raise BadImageError("BigTIFF, which is for files over 4 GB; expected TIFF")
    looks = next((f", it looks like {kind}" for start, kind in OTHER_FILES.items() if data[:64].lstrip().startswith(start)), "")
    raise BadImageError(f"not a PNG, JPEG, TIFF, BMP or WebP image ({len(data):,} bytes{looks})")


def _read_bmp(data: bytes) -> Pixels:
    """Checks a BMP's size, compression and length, and decodes it. Compression by run lengths is refused: it may leave pixels out."""
    try:
        start, header = struct.unpack_from("<II", data, 10)
        width, height, _, bits = struct.unpack_from("<HHHH" if header == 12 else "<iiHH", data, 18)
        compression = 0 if header == 12 else struct.unpack_from("<I", data, 30)[0]
    except struct.error:
        raise BadImageError("truncated BMP: it ends within its header") from None
    if width < 0:
        raise BadImageError("damaged BMP: negative width")
    check_size(width, abs(height))
    if compression not in (BMP_PLAIN, BMP_BITFIELDS):
        raise BadImageError(f"BMP compressed by method {compression}; expected none")
    if len(data) < start + (width * bits + 31) // 32 * 4 * abs(height):
        raise BadImageError("truncated BMP: fewer pixels than its size needs")
    image = Image.open(io.BytesIO(data), formats=("BMP",))
    image.load()
    return Pixels(image)


def _read_webp(data: bytes) -> Pixels:
    """Checks a WebP's parts and sizes before libwebp makes room for them, and decodes it."""
    end = 8 + int.from_bytes(data[4:8], "little")
    at, exif = 12, b""
    if end > len(data):
        raise BadImageError(f"truncated WebP: {len(data):,} of {end:,} bytes")
    while at + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, at)
        content = data[at + 8 : at + 8 + length]
        if at + 8 + length > end:
            raise BadImageError("damaged WebP: a part is longer than the file")
        if kind in (b"ANIM", b"ANMF") or (kind == b"VP8X" and content[:1] and content[0] & WEBP_ANIMATED):
            raise BadImageError("animated WebP (several frames)")
        if kind == b"EXIF":
            exif = content
        if kind in (b"VP8X", b"VP8 ", b"VP8L"):
            check_size(*_webp_size(kind, content))
        at += 8 + length + length % 2
    image = Image.open(io.BytesIO(data), formats=("WEBP",))
    image.load()
    return Pixels(image, orientation=exif_orientation(exif) if exif else 1)


def _webp_size(kind: bytes, content: bytes) -> tuple[int, int]:
    """Returns width and height in the header of one of WebP's parts; https://developers.google.com/speed/webp/docs/riff_container."""
    if kind == b"VP8X" and len(content) >= 10:
        return 1 + int.from_bytes(content[4:7], "little"), 1 + int.from_bytes(content[7:10], "little")
    if kind == b"VP8L" and len(content) >= 5 and content[0] == 0x2F:
        packed = int.from_bytes(content[1:5], "little")
        return 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)
    if kind == b"VP8 " and content[3:6] == WEBP_SIGNATURE and len(content) >= 10:
        width, height = struct.unpack_from("<HH", content, 6)
        return width & 0x3FFF, height & 0x3FFF
    raise BadImageError("damaged WebP: a part without its header")


def _to_rgb(pixels: Pixels) -> np.ndarray:
    """Returns RGB, uint8 (height, width, 3)."""
    image = pixels.image
    if image.mode == "P":
        return _look_up(np.asarray(image), pixels)
    if image.mode == "PA":
        image = image.convert("RGBA")
    if image.mode == "1":
        image = image.convert("L")
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        values = (values >> 8).astype(np.uint8)
    elif image.mode not in ("L", "LA", "RGB", "RGBA"):
        raise BadImageError(f"pixel mode {image.mode}; expected gray, RGB, a palette, or these with alpha")
    values = values.reshape(*values.shape[:2], -1)
    colors, alpha = (values[..., :-1], values[..., -1:]) if image.mode.endswith("A") else (values, None)
    if pixels.bits == 16 and colors.max() < LOWEST_BRIGHT_BYTE:
        raise BadImageError(
            "16 bits a channel, but no value reaches 4,096 of 65,535: a smaller camera's values; scale them to 16 or 8 bits"
        )
    if alpha is not None:
        if not alpha.any():
            raise BadImageError("wholly transparent: there is nothing to see")
        colors = _onto_black(colors, alpha)
    if pixels.transparent is not None:
        colors = np.where((colors == np.array(pixels.transparent, np.uint8)).all(axis=-1, keepdims=True), np.uint8(0), colors)
    return colors if colors.shape[2] == 3 else np.repeat(colors, 3, axis=2)


def _look_up(indices: np.ndarray, pixels: Pixels) -> np.ndarray:
    """Returns the palette's colors, alpha composed onto black."""
    palette = pixels.palette
    if palette is None:
        palette = np.array(pixels.image.getpalette("RGBA"), np.uint8).reshape(-1, 4)
    if indices.max() >= len(palette):
        raise BadImageError(f"damaged {pixels.image.format or 'PNG'}: color number {indices.max()} of a palette of {len(palette)}")
    return _onto_black(palette[:, :3], palette[:, 3:])[indices]


def _onto_black(colors: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Returns colors x alpha / 255, rounded; alpha 255 changes nothing."""
    return ((colors.astype(np.uint16) * alpha + 127) // 255).astype(np.uint8)


def _orient(image: np.ndarray, orientation: int) -> np.ndarray:
    """Turns and mirrors an image by its EXIF orientation, 1 to 8, so that its first row is the top."""
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)
