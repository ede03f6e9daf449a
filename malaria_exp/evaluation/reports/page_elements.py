"""What pages are made of: pictures, and tables that sort in the browser."""

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from malaria_exp.evaluation.plots.style import DPI
from malaria_exp.utils.atomic_files import write_bytes

# Of the plots on the screen; their files have more, for sharp letters.
PIXELS_PER_INCH = 108
# Columns of settings that a printed table has room for beside its results.
MOST_SETTINGS = 4
QUALITY = 90  # of JPEG


@dataclass(frozen=True)
class Picture:
    """A picture of a page.

    Attributes:
        name: of its file in plots/, without the ending.
        title: in bold below it.
        caption: how to read it.
        png: its bytes.
    """

    name: str
    title: str
    caption: str
    png: bytes

    @property
    def source(self) -> str:
        """The picture as a data URL: a page loads nothing."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()

    @property
    def width(self) -> int:
        """The width of a plot in the browser's pixels; plots of any size then have letters of one size."""
        # A PNG's header holds its width in bytes 16 to 19.
        return round(int.from_bytes(self.png[16:20], "big") / DPI * PIXELS_PER_INCH)


def jpeg_source(image: np.ndarray) -> str:
    """Returns an image, uint8 (h, w, 3), as the data URL of a JPEG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def write_pictures(folder: Path, pictures: Iterable[Picture]) -> None:
    """Writes each picture as plots/NAME.png below the folder."""
    for picture in pictures:
        write_bytes(folder / "plots" / f"{picture.name}.png", picture.png)


@dataclass(frozen=True)
class Head:
    """The head of a column: its text, whether it sorts as numbers, whether the largest comes first, a remark, and whether it is a setting."""

    text: str
    number: bool = True
    largest_first: bool = False
    title: str = ""
    setting: bool = False


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, what it sorts by (None last), a smaller second line, a link, and the full text if `text` is cut."""

    text: str
    sort: float | str | None = None
    small: str = ""
    link: str = ""
    title: str = ""
    leaky: bool = False


@dataclass(frozen=True)
class Row:
    """A row of a table, and the texts that a filter such as "model=cellnet" matches exactly."""

    cells: list[Cell]
    exact: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class SortableTable:
    """A table that sorts by a click on a column's head."""

    heads: list[Head]
    rows: list[Row]

    @property
    def many(self) -> bool:
        """Whether it has more columns of settings than paper has room for."""
        return sum(head.setting for head in self.heads) > MOST_SETTINGS

    def settings(self) -> list[tuple[str, str]]:
        """Returns of each row the text of its first cell, and what it was set to: "key: value, key: value"."""
        rows = []
        for row in self.rows:
            own = [(head, cell) for head, cell in zip(self.heads, row.cells, strict=True) if head.setting and cell.text]
            rows.append((row.cells[0].text, ", ".join(f"{head.text}: {cell.title or cell.text}" for head, cell in own)))
        return rows


def number_cell(value: float | None, form: str, *, small: str = "", undefined: bool = False) -> Cell:
    """Returns the cell of a number; without one it is empty, or n/a where the number was computed and is undefined."""
    if value is None:
        return Cell("n/a" if undefined else "")
    return Cell(format(value, form), float(value), small=small)
