r"""The grammar of the NIH file names: from a name to patient, slide and field of view.

Names such as `C100P61ThinF_IMG_20150918_144104_cell_162.png` hold case, patient, slide, photograph and cell.
Grouping by the text before the first underscore truncates 23 slide keys, `C\d+P\d+` loses 3,708 cells, and grouping by
slide puts patient 8, photographed under two microscopes, on both sides of a split. The grammar below holds for all 27,558 files.
"""

import re
from typing import NamedTuple

NAME = re.compile(
    r"(?P<slide>C(?P<case>\d+)(?:[AB](?=P))?(?:P(?P<patient>\d+))?N?(?:Re)?_?"
    r"(?:ThinF|thinF_original|thinF|thin_original|thinOriginalOlympusCX21|thin_Original_Motic))"
    r"_IMG_(?P<date>\d{8})_(?P<time>\d{6})a?_cell_(?P<cell>\d+)"
)


CELL = re.compile(r"_cell_(\d{1,9})$")


class NameParts(NamedTuple):
    """What a cell's name says: patient ("P061", or "C7" where the name has no patient), slide, field of view."""

    patient: str
    slide: str
    field: str


def parse_name(cell_id: str) -> NameParts | None:
    """Returns the parts of a cell's name (the file name without its ending), or None if it does not follow the grammar."""
    match = NAME.fullmatch(cell_id)
    if match is None:
        return None
    number = match["patient"]
    patient = f"P{int(number):03d}" if number else f"C{int(match['case'])}"
    return NameParts(patient, match["slide"], cell_id.rpartition("_cell_")[0])


def cell_number(cell_id: str) -> int | None:
    """Returns the number of a cell in its photograph by the end of its name, also of one that does not follow the grammar else; None without any."""
    match = CELL.search(cell_id)
    return int(match[1]) if match else None


class Capture(NamedTuple):
    """When a slide was photographed ("2015-09"), and what its name says after the patient's number ("thinoriginalolympuscx21")."""

    month: str
    kind: str


def parse_capture(cell_id: str) -> Capture | None:
    """Returns how a cell was captured by its name, or None if it does not follow the grammar; spellings of the same words become one."""
    match = NAME.fullmatch(cell_id)
    if match is None:
        return None
    kind = re.sub(r"^C\d+[AB]?(P\d+)?", "", match["slide"]).replace("_", "").lower()
    return Capture(f"{match['date'][:4]}-{match['date'][4:6]}", kind)
