"""What the data report's page is made of: chapters of text, tables and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from malaria_exp.evaluation.plots.style import png_bytes
from malaria_exp.evaluation.reports.page_elements import Picture
from malaria_exp.evaluation.reports.templates import template
from malaria_exp.utils.atomic_files import write_text


@dataclass(frozen=True)
class Table:
    """A table: its title, the heads of its columns, and rows of text or numbers, whose first item is the row's head."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str | int]]


@dataclass
class Section:
    """A section of a chapter, or a chapter's beginning.

    Attributes:
        title: its heading; empty for a chapter's beginning.
        code: set in a fixed-width font below the heading.
        text: paragraphs.
        tables: between text and pictures.
        pictures: in the order shown.
    """

    title: str = ""
    code: str = ""
    text: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)

    def add(self, figure: Figure, name: str, title: str, caption: str) -> None:
        """Adds a figure as a picture."""
        self.pictures.append(Picture(name, title, caption, png_bytes(figure)))


@dataclass
class Chapter:
    """A chapter: its heading, an anchor for the contents, and its sections."""

    title: str
    anchor: str
    sections: list[Section] = field(default_factory=list)


@dataclass
class DataReport:
    """What the page says; all text may hold anything, it is escaped.

    Attributes:
        title: of the page.
        subtitle: below it.
        leaky: training and evaluation share patients or images; stamps the page.
        notes: sentences of caution, near the top.
        tiles: (name, number, remark) of the numbers that everyone asks first.
        chapters: in order.
        facts: (name, value), what the report was made from.
    """

    title: str
    subtitle: str
    leaky: bool
    notes: list[str]
    tiles: list[tuple[str, str, str]]
    chapters: list[Chapter]
    facts: list[tuple[str, str]]

    @property
    def pictures(self) -> list[Picture]:
        """All pictures, in order."""
        return [picture for chapter in self.chapters for section in chapter.sections for picture in section.pictures]

    def write(self, path: Path) -> None:
        """Writes the page atomically; equal reports give equal bytes."""
        write_text(path, template("data_report.html.j2").render(vars(self)))
