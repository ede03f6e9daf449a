"""The one decoder of image files: RGB, or the reason why not.

Every image goes through here: in training, in evaluation, and wherever a finished model is used.
"""

from functools import partial

import numpy as np

from malaria_exp.data.cell_table import BadImageError
from malaria_exp.data.decode.jpeg import SOI, read_jpeg
from malaria_exp.data.decode.pillow_formats import read_with_pillow
from malaria_exp.data.decode.pixels import MAX_PIXELS, Pixels
from malaria_exp.data.decode.png import SIGNATURE, read_png
from malaria_exp.utils.replaced_files import LFS_POINTER, stands_for

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
EMPTY = "empty file (0 bytes)"
# First bytes of other files that are found in folders of images, or that a failed download leaves.
OTHER_FILES = {b"GIF8": "GIF", b"%PDF": "PDF", b"PK\3\4": "zip", b"<": "HTML or XML", b"\0\0\0\x0cjP  ": "JPEG 2000", b"8BPS": "Photoshop"}
TIFF_SIGNATURES = (b"II*\0", b"MM\0*")
BIG_TIFF_SIGNATURES = (b"II+\0", b"MM\0+")
# Values of cameras of up to 12 bits reach 4,095: an upper byte of 15.
LOWEST_BRIGHT_BYTE = 16


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decodes the bytes of an image file.

    The format is told by content, never by a file's name. What keeps its meaning is converted:

    * gray and black-and-white: all three channels equal; a palette: its colors;
    * alpha and transparent colors: composed onto black, as outside of a cell is black in this data;
    * 16 bits a channel: the upper byte, so that full scale stays full scale;
    * EXIF orientation (of TIFF its own orientation): applied. Orientation in XMP or text is not looked for.

    Color profiles and gamma are ignored: pixels are taken as they are, as by every other reader of this data.

    A PNG's checksums, length and end are checked. A JPEG's coded data must be complete, also where an end mark was put after a cut.
    The other formats are read as Pillow reads them, but missing pixels are refused. Only PNG and deflated TIFF have checksums of their
    pixels, so that a flipped bit in another file may give other pixels. Bytes after an image's end are allowed. On damaged compressed
    TIFF, libtiff itself writes a line to the error stream, which Pillow cannot stop.

    Args:
        data: the file's bytes: PNG, JPEG, TIFF, BMP or WebP.
        max_pixels: an image of more is refused by its header, before any pixel is decoded; at most `MAX_PIXELS`.

    Returns:
        RGB, uint8 (height, width, 3).

    Raises:
        BadImageError: empty; another format; truncated or damaged; several frames or pages; CMYK, LAB or numbers that are no
            brightness; 16 bits that hold a smaller camera's values; more than `max_pixels` pixels; a side of one pixel. No other
            exception leaves this function. It may be called from several threads at once.
    """
    if not data:
        raise BadImageError(EMPTY)
    name = _format(data)
    try:
        read = {"PNG": read_png, "JPEG": read_jpeg}.get(name) or partial(read_with_pillow, name)
        pixels = read(data, max_pixels)
        return _orient(_to_rgb(pixels), pixels.orientation)
    except BadImageError:
        raise
    except Exception as error:  # noqa: BLE001 - Pillow raises many types on damaged files; all mean the same here
        raise BadImageError(f"truncated or damaged {'WebP' if name == 'WEBP' else name}: {error or type(error).__name__}") from None


def _format(data: bytes) -> str:
    """Returns one of `FORMATS` by the first bytes; raises BadImageError for anything else."""
    if data.startswith(SIGNATURE):
        return "PNG"
    if data.startswith(SOI + b"\xff"):
        return "JPEG"
    if data.startswith(TIFF_SIGNATURES):
        return "TIFF"
    if data.startswith(b"BM"):
        return "BMP"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith(BIG_TIFF_SIGNATURES):
        raise BadImageError("BigTIFF, which is for files over 4 GB; expected TIFF")
    if data.startswith(LFS_POINTER):
        raise BadImageError(stands_for(data) or "")
    # One text for all files of a kind, so that they can be named in one line.
    looks = next((f"it looks like {kind}" for start, kind in OTHER_FILES.items() if data[:64].lstrip().startswith(start)), None)
    raise BadImageError(f"not a PNG, JPEG, TIFF, BMP or WebP image ({looks or f'{len(data):,} bytes'})")


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
