"""The project's log: to the terminal for people, to run.log for later."""

import logging
from pathlib import Path

from rich.logging import RichHandler

from malaria_exp.progress import console

log = logging.getLogger("malaria_exp")


def start_terminal_log() -> None:
    """Sends the log to the terminal; calling it again changes nothing."""
    if not any(isinstance(handler, RichHandler) for handler in log.handlers):
        handler = RichHandler(console=console(), show_time=False, show_path=False, show_level=False, markup=False, highlighter=None)
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


def start_file_log(path: Path) -> logging.Handler:
    """Sends the log to a file as well, with times; returns the handler for stop_file_log."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    return handler


def stop_file_log(handler: logging.Handler) -> None:
    """Closes the file, so that the next job of the same process does not write to it."""
    log.removeHandler(handler)
    handler.close()
