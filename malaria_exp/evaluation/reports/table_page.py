"""What pages with tables that sort in the browser share: cells, heads and figures. A page loads nothing from anywhere."""

import base64
from dataclasses import dataclass

from malaria_exp.evaluation.plots.style import DPI

# Of the plots on the screen; their files have more, for sharp letters.
PIXELS_PER_INCH = 108


@dataclass(frozen=True)
class Cell:
    """A cell of a table: what is shown, what it sorts by (None last), a smaller second line, a link, and the whole of what was cut."""

    text: str
    sort: float | str | None = None
    small: str = ""
    link: str = ""
    title: str = ""
    leaky: bool = False


@dataclass(frozen=True)
class Head:
    """The head of a column: its text, whether it sorts as numbers, whether the largest comes first, and a remark."""

    text: str
    number: bool = True
    largest_first: bool = False
    title: str = ""


def number_cell(value: float | None, form: str, *, small: str = "", undefined: bool = False) -> Cell:
    """Returns the cell of a number; of none it is empty, or n/a where it was computed and is undefined."""
    if value is None:
        return Cell("n/a" if undefined else "")
    return Cell(format(value, form), float(value), small=small)


def shown_figure(title: str, caption: str, png: bytes) -> tuple[str, str, str, int]:
    """Returns title, caption, source and width in pixels of a plot as the templates show it."""
    # The width stands in a PNG's header. Plots of any number of panels have letters of one size then.
    width = round(int.from_bytes(png[16:20], "big") / DPI * PIXELS_PER_INCH)
    return title, caption, "data:image/png;base64," + base64.b64encode(png).decode(), width
