"""What the readers of image files share: the pixels that they return, and the bounds on an image's size."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from malaria_exp.data.cell_table import BadImageError

# An image of a single cell is at most some hundred pixels wide; far larger ones are a mistake or a decompression bomb.
MAX_PIXELS = 4096 * 4096
MIN_SIDE = 2


@dataclass(frozen=True)
class Pixels:
    """An image file's pixels as its coding gives them, and what is needed to make them RGB.

    Attributes:
        image: decoded, in one of Pillow's modes.
        bits: bits a channel in the file, 1 to 16; Pillow gives 16 bits as 8 in most modes.
        orientation: EXIF orientation, 1 to 8.
        palette: uint8 (entries, 4), RGBA, where the image holds indices into it; None lets Pillow's own palette be used.
        transparent: 8-bit gray or RGB values of the color that stands for no color.
    """

    image: Image.Image
    bits: int = 8
    orientation: int = 1
    palette: np.ndarray | None = None
    transparent: tuple[int, ...] | None = None


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raises BadImageError for sizes that no cell has; called on the header, before any pixel is decoded."""
    if width * height > max_pixels:
        raise BadImageError(f"{width:,} x {height:,} pixels, more than {max_pixels:,} in all")
    if min(width, height) < MIN_SIDE:
        raise BadImageError(f"{width:,} x {height:,} pixels, fewer than {MIN_SIDE} on a side")
