"""Pictures of cells side by side with their captions, as one PNG, for tools that show plain pictures."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from malaria_exp.tracking.logger_interface import Table

EDGE, GAP, TEXT = 128, 8, 12
COLUMNS = 8
LINE = TEXT + 4


def captioned_grid(images: np.ndarray, captions: Sequence[str], columns: int = COLUMNS) -> bytes:
    """Returns the pictures in rows, each 128 px wide with its caption below, wrapped at commas and cut where it is too long.

    Args:
        images: uint8 (N, size, size, 3).
        captions: one an image.
        columns: pictures in a row.
    """
    font = ImageFont.load_default(TEXT)
    captions_lines = [[line.strip() for line in caption.split(",")] for caption in captions]
    below = LINE * max((len(lines) for lines in captions_lines), default=1)
    rows = -(-len(images) // columns)
    width, height = EDGE + GAP, EDGE + below + GAP
    page = Image.new("RGB", (columns * width + GAP, rows * height + GAP), "white")
    draw = ImageDraw.Draw(page)
    for number, (image, lines) in enumerate(zip(images, captions_lines, strict=True)):
        left, top = GAP + number % columns * width, GAP + number // columns * height
        # Nearest neighbor: the pixels that the model sees stay visible.
        page.paste(Image.fromarray(image).resize((EDGE, EDGE), Image.Resampling.NEAREST), (left, top))
        for line, text in enumerate(lines):
            draw.text((left, top + EDGE + 2 + line * LINE), fitting(text, font), fill="black", font=font)
    out = io.BytesIO()
    page.save(out, "PNG")
    return out.getvalue()


def table_captions(table: Table) -> list[str]:
    """Returns a caption for each picture of a table of predictions: truth, score and patient."""
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    return [f"{row['truth']}, score {row['score']:.4f}, {row['patient']}" for row in rows]


def fitting(text: str, font: "ImageFont.ImageFont | ImageFont.FreeTypeFont") -> str:
    """Returns the text; if it is wider than a picture, dots take the place of its middle."""
    if font.getlength(text) <= EDGE:
        return text
    keep = len(text)
    while keep > 2 and font.getlength(cut := f"{text[: keep // 2]}...{text[-(keep // 2) :]}") > EDGE:
        keep -= 1
    return cut


def png_size(png: bytes) -> tuple[int, int]:
    """Returns width and height in pixels of a PNG file's content."""
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
