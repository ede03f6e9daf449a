"""The index of the NIH set: all 27,558 files by their contents, so that a cell is recognized without its name.

nih_index.tsv.xz has a line a file, sorted by class and name: name without .png, class (p or u), first 12 hex digits of the
SHA-256 of its bytes. Another image has the digits of one of them with a probability of 1 in 10 billion.
"""

import lzma
from functools import cache
from pathlib import Path
from typing import NamedTuple

from malaria_exp.data.cell_table import CLASS_NAMES
from malaria_exp.data.readers.names import NameParts, parse_name

PATH = Path(__file__).with_name("nih_index.tsv.xz")
DIGITS = 12
LETTERS = {name[0]: name for name in CLASS_NAMES}


class Known(NamedTuple):
    """A file of the NIH set: its name without .png, its class name, and the beginning of the SHA-256 of its bytes as hex."""

    cell_id: str
    class_name: str
    digits: str

    @property
    def parts(self) -> NameParts:
        """Patient, slide and field."""
        parts = parse_name(self.cell_id)
        if parts is None:
            raise ValueError(f"Expected a name of the NIH grammar in the index. Received: {self.cell_id!r}")
        return parts


@cache
def read_index() -> dict[str, Known]:
    """Returns all files of the NIH set by the first digits of their content's SHA-256."""
    with lzma.open(PATH, "rt", encoding="ascii") as file:
        known = [Known(name, LETTERS[letter], digits) for name, letter, digits in (line.split() for line in file)]
    return {item.digits: item for item in known}


def look_up(sha256: str) -> Known | None:
    """Returns the file of the NIH set with this content (SHA-256 as hex), or None."""
    return read_index().get(sha256[:DIGITS])
