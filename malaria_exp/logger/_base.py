"""What a logger is, and the group that keeps a failing logger from harming the run."""

from collections.abc import Callable
from typing import Any

from malaria_exp.durations import RunLength
from malaria_exp.logs import log

Row = dict[str, float]


class Logger:
    """The events of a run; a logger overrides those it cares for."""

    name = "logger"

    def start(self, length: RunLength) -> None:
        """Training is about to begin."""

    def step(self, step: int, values: Row) -> None:
        """A training step is done: its number from 1 over the whole run, and the running means of loss and accuracy."""

    def epoch(self, row: Row) -> None:
        """An epoch is done, its validation too: `epoch` from 1, loss, val_auc, learning_rate, seconds and others."""

    def finish(self, status: str) -> None:
        """The run is over: "done", "failed" or "interrupted". Called once, whatever happened."""


class Loggers(Logger):
    """Hands every event to several loggers in order; one that fails is reported once and dropped, and the run goes on."""

    def __init__(self, loggers: dict[str, Logger]) -> None:
        self.active = dict(loggers)

    def start(self, length: RunLength) -> None:
        """See Logger."""
        self._each(lambda logger: logger.start(length))

    def step(self, step: int, values: Row) -> None:
        """See Logger."""
        self._each(lambda logger: logger.step(step, values))

    def epoch(self, row: Row) -> None:
        """See Logger."""
        self._each(lambda logger: logger.epoch(row))

    def finish(self, status: str) -> None:
        """See Logger."""
        self._each(lambda logger: logger.finish(status))

    def _each(self, call: Callable[[Logger], Any]) -> None:
        for name, logger in list(self.active.items()):
            try:
                call(logger)
            except Exception as error:  # noqa: BLE001 - whatever a logger raises, training must not stop for it
                del self.active[name]
                log.warning(f"logger    {name} failed and is switched off for the rest of the run: {type(error).__name__}: {error}")
