"""The templates of this folder. What they show is escaped, and a missing value is an error."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from malaria_exp.evaluation.intervals.interval_interface import MEANS_OF_PATIENTS, PATIENTS_UNKNOWN

UNDEFINED = "n/a"
FOLDER = Path(__file__).parent
# The style sheet of all pages.
STYLE = FOLDER / "style.css"


def number(value: float | None, digits: int = 3) -> str:
    """Returns the number with fixed digits, whole numbers with thousands separators, None as "n/a"."""
    if value is None:
        return UNDEFINED
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}f}"


def interval(cell: Mapping[str, Any]) -> str:
    """Returns "0.912 to 0.987", or an empty string where there is no interval."""
    return "" if cell["low"] is None else f"{number(cell['low'])} to {number(cell['high'])}"


@cache
def template(name: str) -> Template:
    """Returns a template of this folder."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "interval": interval}
    environment.globals |= {"PATIENTS_UNKNOWN": PATIENTS_UNKNOWN, "MEANS_OF_PATIENTS": MEANS_OF_PATIENTS}
    return environment.get_template(name)
