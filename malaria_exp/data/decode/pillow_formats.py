"""TIFF, BMP and WebP files: Pillow reads their structure and their pixels; what it lets pass although pixels are missing is refused here."""

import io
import logging
import warnings
from typing import Any, cast

from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from malaria_exp.data.cell_table import BadImageError
from malaria_exp.data.decode.exif import exif_orientation
from malaria_exp.data.decode.pixels import Pixels, check_size

READERS: dict[str, type[ImageFile]] = {"TIFF": TiffImageFile, "BMP": BmpImageFile, "WEBP": WebPImageFile}
BITS, TILE_WIDTH, TILE_HEIGHT, PLANAR, SAMPLE_FORMAT = 258, 322, 323, 284, 339
SEPARATE = 2
# Lossless, and libtiff refuses damaged data in them.
COMPRESSIONS = ("raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits")
# A damaged file ends in an error with a reason; what Pillow says of it besides would stand in the midst of the user's progress.
warnings.filterwarnings("ignore", module=r"PIL\.TiffImagePlugin")
logging.getLogger("PIL.TiffImagePlugin").setLevel(logging.CRITICAL)


def read_with_pillow(name: str, data: bytes, max_pixels: int) -> Pixels:
    """Decodes a file of one image.

    Args:
        name: "TIFF", "BMP" or "WEBP".
        data: the file's bytes.
        max_pixels: the largest size.

    Raises:
        BadImageError: several frames or pages, too large, too small, pixels that are missing, or a kind of TIFF or BMP that has no one
            way to 8-bit RGB. For other damage, Pillow's errors of many types.
    """
    try:
        # Not Image.open: it warns of large images, which are refused below.
        image = READERS[name](io.BytesIO(data))
    except Image.DecompressionBombError:
        raise BadImageError(f"more than {max_pixels:,} pixels") from None
    check_size(*image.size, max_pixels)
    if getattr(image, "is_animated", False):
        raise BadImageError("TIFF of several pages" if name == "TIFF" else "animated WebP (several frames)")
    bits = _check_tiff(image, max_pixels) if isinstance(image, TiffImageFile) else 8
    _check_complete(image, len(data))
    image.load()
    # Pillow itself turns a TIFF by its orientation.
    return Pixels(image, bits, orientation=1 if name == "TIFF" else exif_orientation(image.info.get("exif", b"")))


def _check_tiff(image: TiffImageFile, max_pixels: int) -> int:
    """Returns the bits a channel; raises BadImageError for numbers and codings that Pillow would read without a warning."""
    tags, compression = image.tag_v2, image.info["compression"]
    if compression not in COMPRESSIONS:
        raise BadImageError(f"TIFF compressed by {compression}; expected none, LZW, deflate or PackBits")
    if set(tags.get(SAMPLE_FORMAT, (1,))) != {1}:
        raise BadImageError("TIFF of signed or floating-point numbers; expected whole numbers from 0")
    depths = tags.get(BITS, (1,))
    if tags.get(PLANAR) == SEPARATE and max(depths) > 8:
        raise BadImageError("TIFF with separate planes of more than 8 bits")
    # libtiff makes room for a whole tile, also where the image is smaller.
    across, down = tags.get(TILE_WIDTH, 1), tags.get(TILE_HEIGHT, 1)
    if across * down > max_pixels:
        raise BadImageError(f"damaged TIFF: tiles of {across:,} x {down:,} pixels")
    return max(depths)


def _check_complete(image: ImageFile, size: int) -> None:
    """Raises BadImageError unless the uncompressed pieces of an image lie within the file and cover each pixel once.

    Pillow leaves black what no piece covers, and what lies beyond the file's end too where some library set LOAD_TRUNCATED_IMAGES.
    Compressed images are one piece to Pillow; libtiff and libwebp refuse those that end early.

    Args:
        image: opened, not loaded.
        size: bytes in the file.
    """
    planes, bits = 1, 0
    if isinstance(image, TiffImageFile):
        depths = image.tag_v2.get(BITS, (1,))
        separate = image.tag_v2.get(PLANAR) == SEPARATE
        planes, bits = (len(image.getbands()), depths[0]) if separate else (1, sum(depths))
    covered = 0
    for codec, extents, offset, arguments in image.tile:
        if codec == "bmp_rle":
            raise BadImageError("BMP compressed by run lengths, which may leave pixels out; expected none")
        left, top, right, bottom = extents or (0, 0, *image.size)
        covered += (right - left) * (bottom - top)
        if codec == "raw":
            stride = cast("tuple[Any, int, int]", arguments)[1] or ((right - left) * bits + 7) // 8
            if offset + stride * (bottom - top) > size:
                raise BadImageError(f"truncated {image.format}: fewer pixels than its size needs")
    if image.tile and covered != planes * image.width * image.height:
        raise BadImageError(f"truncated or damaged {image.format}: {len(image.tile)} strips or tiles that do not cover its size")
