"""The loggers of a run together: each receives all events in order, and none can break the run or hold it up."""

import queue
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from malaria_exp.tracking.logger_interface import Kind, Logger, Status
from malaria_exp.utils.redaction import redact
from malaria_exp.utils.terminal_log import log

# A slow logger is given up when more events than these wait for it.
WAITING = 20_000
# Without these a logger is of no use; of the others it can do without one that fails.
VITAL = ("start", "scalars", "finish")
# If a logger takes longer to finish, the terminal says what is waited for.
SILENT_SECONDS = 3.0
# A checkpoint of the training does not wait longer than this for slow loggers.
SETTLE_SECONDS = 2.0
# In a queue, no method of the logger but an event that is set when the thread has come so far.
REACHED = "reached"


class Loggers:
    """Hands every event to several loggers; what fails is reported once and dropped, and the run goes on.

    If an event fails, the logger hears no more of that kind; one that cannot begin or take scalars is dropped altogether, and is told
    so by its finish.

    Args:
        loggers: by name; the events reach them in this order.
    """

    def __init__(self, loggers: dict[str, Logger]) -> None:
        self._lanes = {name: _lane(name, logger) for name, logger in loggers.items()}
        self._unmade: set[str] = set()

    @property
    def active(self) -> list[str]:
        """Names of those that have not failed."""
        return [name for name, lane in self._lanes.items() if not lane.failed]

    def wanting(self, kind: Kind, number: int = 1) -> list[str]:
        """Returns the names of those that want this kind of event at this step or epoch."""
        return [name for name in self.active if (every := self._lanes[name].logger.wants.get(kind, 0)) and number % every == 0]

    def tell(self, event: str, *about: Any, to: Iterable[str] | None = None) -> None:
        """Calls a method of the loggers.

        Args:
            event: the method's name, see Logger.
            *about: its arguments; nobody changes them later.
            to: names of the loggers; all, if not given.
        """
        for name in self.active if to is None else to:
            self._lanes[name].call(event, about)

    def tell_made(self, event: str, what: str, make: Callable[[], tuple[Any, ...]], *, to: Iterable[str]) -> None:
        """Calls a method of some loggers with arguments that are made only for them; if that fails, the run goes on.

        Args:
            event: the method's name.
            what: what is made, in words; after a failure, with one warning, it is not tried again.
            make: returns the method's arguments; called only if there are loggers to tell.
            to: names of the loggers.
        """
        if not to or what in self._unmade:
            return
        try:
            about = make()
        except Exception as error:  # noqa: BLE001 - see _guarded
            self._unmade.add(what)
            log.warning(redact(f"logger    {what} cannot be made and is left out for the rest of the run: {_in_a_line(error)}"))
            return
        self.tell(event, *about, to=to)

    def settle(self) -> None:
        """Has all loggers make safe what they were told, and waits for them, though not for long."""
        until = time.monotonic() + SETTLE_SECONDS
        for name in self.active:
            self._lanes[name].settle(until)

    def finish(self, status: Status, reason: str = "") -> None:
        """Ends all loggers; those with a thread of their own finish at the same time."""
        for lane in self._lanes.values():
            lane.call("finish", (status, reason))
        began = time.monotonic()
        for lane in self._lanes.values():
            lane.close(began)


def _lane(name: str, logger: Logger) -> "_Lane":
    return _Lane(name, logger) if logger.patience is None else _OwnThread(name, logger)


def _in_a_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"


class _Lane:
    """Calls one logger, on the calling thread."""

    def __init__(self, name: str, logger: Logger) -> None:
        self.name, self.logger = name, logger
        self.dropped, self.parts = "", set[str]()
        self._lock = threading.Lock()

    @property
    def failed(self) -> bool:
        """Whether the logger is dropped."""
        return bool(self.dropped)

    def call(self, event: str, about: tuple[Any, ...]) -> None:
        """Makes the call now."""
        self._guarded(event, about)

    def close(self, began: float) -> None:
        """Waits until the logger has finished; `began` is the time.monotonic() at which all loggers began to finish."""

    def _guarded(self, event: str, about: tuple[Any, ...]) -> None:
        part = f"{about[0].kind} {event}" if event == "artifact" else event
        if (self.failed and event != "finish") or part in self.parts or self._known(event, about):
            return
        if self.failed:
            # It may still close what it has open, and tells its server that what is there is not all.
            status, reason = about
            why = f"this logger {self.dropped}; the run itself: {status}{f', {reason}' if reason else ''}"
            about = ("failed" if status == "done" else status, why)
        try:
            getattr(self.logger, event)(*about)
        except Exception as error:  # noqa: BLE001 - whatever a logger raises, training must not stop for it
            if event in VITAL:
                self.give_up(f"failed and is switched off for the rest of the run: {_in_a_line(error)}")
            else:
                self.parts.add(part)
                log.warning(redact(f"logger    {self.name} goes on without this kind of event, as it failed: {part}: {_in_a_line(error)}"))

    def _known(self, event: str, about: tuple[Any, ...]) -> bool:
        """Tells whether a run that goes on repeats what its server has already."""
        if event == "scalars":
            return self.logger.has.reaches(about[0], about[1])
        epoch = about[0] if event == "histograms" else about[-1] if event in ("figure", "scores") else None
        return epoch is not None and self.logger.has.reaches("epoch", epoch)

    def settle(self, until: float) -> None:
        """Has the logger make what it was told safe, and waits for that until a time.monotonic() at most."""
        self._guarded("settle", ())

    def give_up(self, why: str) -> None:
        """Drops the logger, with one warning."""
        with self._lock:
            if not self.failed:
                self.dropped = redact(why)
                log.warning(redact(f"logger    {self.name} {why}"))


class _OwnThread(_Lane):
    """Calls a logger that may have to wait for a server or a disk, on a thread of its own."""

    def __init__(self, name: str, logger: Logger) -> None:
        super().__init__(name, logger)
        self._events: queue.Queue[tuple[str, tuple[Any, ...]]] = queue.Queue(WAITING)
        # A daemon thread, so that a logger that hangs does not keep the program from ending.
        self._thread = threading.Thread(target=self._work, name=f"logger-{name}", daemon=True)
        self._thread.start()

    def call(self, event: str, about: tuple[Any, ...]) -> None:
        """Puts the call into the queue."""
        try:
            self._events.put_nowait((event, about))
        except queue.Full:
            self.give_up(f"has fallen {WAITING:,} events behind and is switched off for the rest of the run")
            if event == "finish":
                # What waits is of no use any more.
                with suppress(queue.Empty):
                    while True:
                        self._events.get_nowait()
                self._events.put((event, about))

    def settle(self, until: float) -> None:
        """Waits until the thread has come so far."""
        done = threading.Event()
        self.call("settle", ())
        self.call(REACHED, (done,))
        done.wait(max(until - time.monotonic(), 0))

    def close(self, began: float) -> None:
        """Waits until all calls are done, the logger's patience is over, or Ctrl-C."""
        patience = self.logger.patience or 0
        try:
            self._wait(began + min(SILENT_SECONDS, patience))
            if self._thread.is_alive() and not self.failed:
                log.info(f"logger    {self.name} is finishing; it gets {patience:.0f} s (Ctrl-C: go on without)")
                self._wait(began + patience)
        except KeyboardInterrupt:
            # The run itself is over; its status stays as it is.
            self.give_up("was not waited for, after Ctrl-C; what it had sent until then is there")
        if self._thread.is_alive():
            self.give_up(f"did not finish within {patience:.0f} s and was left behind; what it had sent until then is there")

    def _wait(self, until: float) -> None:
        self._thread.join(max(until - time.monotonic(), 0))

    def _work(self) -> None:
        event = ""
        while event != "finish":
            event, about = self._events.get()
            if event == REACHED:
                about[0].set()
            else:
                self._guarded(event, about)
