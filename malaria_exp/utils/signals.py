"""Ctrl-C and SIGTERM: as exceptions that end the work, or held back until the work has reached a place where it can stop."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from malaria_exp.utils.terminal_log import log


class Terminated(KeyboardInterrupt):
    """SIGTERM, by which schedulers end a process. It is handled like Ctrl-C; only the exit code differs."""


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """Returns the exit code of a program that an interrupt has ended: 128 plus the number of the signal."""
    return 128 + (signal.SIGTERM if isinstance(interrupt, Terminated) else signal.SIGINT)


def raise_terminated(number: int, frame: Any) -> None:  # noqa: ARG001 - as Python calls it
    """The handler of SIGTERM."""
    raise Terminated


class HeldBack:
    """The signal that has come while `hold_back` was in force, if one has.

    Attributes:
        number: of the signal; None if none has come.
    """

    number: int | None = None

    def raise_if_any(self) -> None:
        """Raises what the signal stands for."""
        if self.number is not None:
            raise Terminated if self.number == signal.SIGTERM else KeyboardInterrupt


@contextmanager
def hold_back(what: str) -> Iterator[HeldBack]:
    """Notes the first SIGINT or SIGTERM of the block instead of raising it; a second one acts at once.

    Signals that are ignored, or that end the process without Python's help, stay so. Does nothing outside of the main thread, where Python
    hears no signals.

    Args:
        what: in words, what the work does before it stops.
    """
    held = HeldBack()
    before: dict[int, Any] = {}

    def restore() -> None:
        while before:
            signal.signal(*before.popitem())

    def note(number: int, _: Any) -> None:
        held.number = number
        restore()
        log.warning(f"stopping  {what}; once more stops at once")

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            if callable(handler := signal.getsignal(number)):
                signal.signal(number, note)
                before[number] = handler
    except ValueError:
        pass  # not the main thread
    try:
        yield held
    finally:
        restore()
