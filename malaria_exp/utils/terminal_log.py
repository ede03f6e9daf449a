"""The project's log, on the terminal and in run.log."""

import logging
from contextlib import suppress
from pathlib import Path

from malaria_exp.utils.program import as_called
from malaria_exp.utils.progress_bars import console

log = logging.getLogger("malaria_exp")
# The level of a run's results, which a quiet terminal shows too.
RESULT = logging.INFO + 5
logging.addLevelName(RESULT, "RESULT")
# log.info(..., extra={BESIDE_TERMINAL: True}) goes to run.log only; the terminal shows the same in another form.
BESIDE_TERMINAL = "beside_terminal"


class TerminalHandler(logging.Handler):
    """Prints through the console that also draws the progress bars, so that neither garbles the other."""

    def emit(self, record: logging.LogRecord) -> None:
        """Prints the message as it is; warnings and errors in color where there is a terminal."""
        if getattr(record, BESIDE_TERMINAL, False):
            return
        style = "red" if record.levelno >= logging.ERROR else "yellow" if record.levelno >= logging.WARNING else None
        console().print(as_called(self.format(record)), style=style, markup=False, soft_wrap=True)


def start_terminal_log() -> None:
    """Sends the log to the terminal; calling it again changes nothing."""
    if not any(isinstance(handler, TerminalHandler) for handler in log.handlers):
        log.addHandler(TerminalHandler())
    log.setLevel(logging.INFO)
    log.propagate = False


def set_terminal_level(level: int | None) -> None:
    """Shows only messages of this level and above on the terminal; None shows all."""
    for handler in log.handlers:
        if isinstance(handler, TerminalHandler):
            handler.setLevel(logging.NOTSET if level is None else level)


class FileHandler(logging.FileHandler):
    """Writes to a file. On a full disk lines are lost without a word: the run itself stops with a message."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Drops the line."""


def start_file_log(path: Path) -> logging.Handler:
    """Sends the log to a file as well, with times; returns the handler for stop_file_log."""
    handler = FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    return handler


def stop_file_log(handler: logging.Handler) -> None:
    """Closes the file, so that the next job of the same process does not write to it."""
    log.removeHandler(handler)
    with suppress(OSError):
        handler.close()
