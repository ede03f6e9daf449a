"""How the program was called, so that what it tells the user to type works where it is typed."""

import sys
from pathlib import Path

CLONE = "python run.py"


def program() -> str:
    """Returns the beginning of a command line that calls this program: "python run.py", "malaria-exp" or "python -m malaria_exp"."""
    called = Path(sys.argv[0])
    if called.stem == "malaria-exp":
        return "malaria-exp"
    return "python -m malaria_exp" if called.parts[-2:] == ("malaria_exp", "__main__.py") else CLONE


def as_called(text: str) -> str:
    """Returns a message with the commands in it as this program is called here; messages name `python run.py`."""
    return text.replace(CLONE, program())
