"""The page of the picture book: chapters of text, tables and pictures, put into one HTML file that loads nothing from anywhere."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from malaria_exp.evaluation.reports.templates import template
from malaria_exp.utils.atomic_files import write_text

TEMPLATE = "data_report.html.j2"


@dataclass(frozen=True)
class Picture:
    """A picture of the book.

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
        """The picture as a data URL."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()


@dataclass(frozen=True)
class Table:
    """A table: its title, the heads of its columns, and rows of text or numbers, whose first item is the row's head."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str | int]]


@dataclass
class Section:
    """A part of a chapter, or a chapter's beginning.

    Attributes:
        title: its heading; empty for a chapter's beginning.
        code: set in a typewriter's letters below the heading.
        text: paragraphs.
        pictures: in the order shown.
        tables: between text and pictures.
    """

    title: str = ""
    code: str = ""
    text: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


@dataclass
class Chapter:
    """A chapter: its heading, an anchor for the contents, and its sections."""

    title: str
    anchor: str
    sections: list[Section] = field(default_factory=list)


@dataclass
class Book:
    """What the page says; all text may hold anything, it is escaped.

    Attributes:
        title: of the book.
        subtitle: below it.
        leaky: cells of one patient stand on both sides of the split; stamps the page.
        notes: sentences of caution, near the top.
        tiles: (name, number, remark) of the numbers that everyone asks first.
        chapters: in order.
        facts: (name, value), what the book was made from.
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
        """All pictures of the book, in order."""
        return [picture for chapter in self.chapters for section in chapter.sections for picture in section.pictures]


def write_page(path: Path, book: Book) -> Path:
    """Writes the page atomically; equal books give equal bytes.

    Returns:
        The path written.
    """
    return write_text(path, template(TEMPLATE).render(book=book))
