import logging
import threading
import time

import pytest

from malaria_exp.tracking import logger_queue
from malaria_exp.tracking.logger_interface import Artifact, Logger
from malaria_exp.tracking.logger_queue import Loggers
from malaria_exp.utils.terminal_log import log


class Failing(Logger):
    def __init__(self, patience=None):
        self.calls, self.ended, self.patience = 0, [], patience

    def scalars(self, axis, number, values):
        self.calls += 1
        raise OSError("disk full, api_key=hunter2")

    def finish(self, status, reason):
        self.ended.append((status, reason))


class Listening(Logger):
    def __init__(self, patience=None, wants=None):
        self.heard, self.threads, self.patience, self.wants = [], set(), patience, wants or {}

    def scalars(self, axis, number, values):
        self.heard.append((axis, number))
        self.threads.add(threading.get_ident())

    def finish(self, status, reason):
        self.heard.append((status, reason))


class Hanging(Listening):
    def __init__(self, patience=0.3):
        super().__init__(patience)
        self.released = threading.Event()

    def scalars(self, axis, number, values):
        self.released.wait(20)


@pytest.fixture
def warnings():
    found = []

    class Collect(logging.Handler):
        def emit(self, record):
            found.append(record.getMessage())

    handler = Collect(logging.WARNING)
    log.addHandler(handler)
    yield found
    log.removeHandler(handler)


@pytest.mark.parametrize("patience", [None, 5.0])
def test_a_failing_logger_is_reported_once_and_the_others_go_on(warnings, patience):
    failing, listening = Failing(patience), Listening(patience)
    loggers = Loggers({"failing": failing, "listening": listening})
    for epoch in (1, 2):
        loggers.tell("scalars", "epoch", epoch, {})
    loggers.finish("done")
    assert failing.calls == 1
    (ended,) = failing.ended
    assert ended[0] == "failed", "what it has open it may still close, and its server knows that not all is there"
    assert "disk full" in ended[1]
    assert "the run itself: done" in ended[1]
    assert "hunter2" not in ended[1]
    assert len(warnings) == 1
    assert "failing" in warnings[0]
    assert "disk full" in warnings[0]
    assert "hunter2" not in warnings[0]
    assert listening.heard == [("epoch", 1), ("epoch", 2), ("done", "")]
    assert loggers.active == ["listening"]


@pytest.mark.parametrize("patience", [None, 5.0])
def test_a_part_that_fails_is_dropped_alone(warnings, patience):
    class Forgetful(Listening):
        def artifact(self, artifact):
            self.heard.append(artifact.kind)
            if artifact.kind == "split":
                raise OSError("refused")

        def figure(self, name, png, epoch):
            self.heard.append(name)
            raise OSError("too large")

    forgetful = Forgetful(patience)
    loggers = Loggers({"forgetful": forgetful})
    for epoch in (1, 2):
        for kind in ("split", "model"):
            loggers.tell("artifact", Artifact("x", kind))
        loggers.tell("figure", "roc", b"", epoch)
        loggers.tell("scalars", "epoch", epoch, {})
    loggers.finish("done")
    assert forgetful.heard == ["split", "model", "roc", ("epoch", 1), "model", ("epoch", 2), ("done", "")]
    assert ["split artifact" in warnings[0], "figure" in warnings[1], len(warnings)] == [True, True, 2]


def test_a_logger_with_patience_hears_all_in_order_on_a_thread_of_its_own():
    listening = Listening(10.0)
    loggers = Loggers({"listening": listening})
    for step in range(1, 501):
        loggers.tell("scalars", "step", step, {})
    loggers.finish("failed", "why")
    assert listening.heard == [("step", step) for step in range(1, 501)] + [("failed", "why")]
    assert threading.get_ident() not in listening.threads


def test_a_hanging_logger_holds_up_nobody_and_is_left_behind(warnings):
    hanging, listening = Hanging(), Listening()
    loggers = Loggers({"hanging": hanging, "listening": listening})
    started = time.perf_counter()
    for step in range(1, 101):
        loggers.tell("scalars", "step", step, {})
    assert time.perf_counter() - started < 5
    assert len(listening.heard) == 100
    loggers.finish("done")
    assert time.perf_counter() - started < 10
    assert len(warnings) == 1
    assert "hanging did not finish within 0 s" in warnings[0]
    hanging.released.set()


def test_several_that_hang_are_waited_for_beside_each_other(warnings):
    hanging = [Hanging(1.5) for _ in range(4)]
    loggers = Loggers({str(number): one for number, one in enumerate(hanging)})
    loggers.tell("scalars", "step", 1, {})
    started = time.monotonic()
    loggers.finish("done")
    assert time.monotonic() - started < 4.5
    assert len(warnings) == 4
    for one in hanging:
        one.released.set()


def test_ctrl_c_while_a_logger_is_finishing_goes_on_without_it(warnings, monkeypatch):
    """The run is over by then: it stays done."""
    hanging, listening = Hanging(60.0), Listening(10.0)
    loggers = Loggers({"hanging": hanging, "listening": listening})
    loggers.tell("scalars", "step", 1, {})
    monkeypatch.setattr(logger_queue, "SILENT_SECONDS", 0.1)
    said = []

    def interrupt(text):
        """Ctrl-C, once: on a slow machine the other logger is waited for with the same words."""
        said.append(text)
        if len(said) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(logger_queue.log, "info", interrupt)
    started = time.monotonic()
    loggers.finish("done")
    assert time.monotonic() - started < 30
    (warning,) = warnings
    assert "hanging was not waited for, after Ctrl-C" in warning
    assert listening.heard[-1] == ("done", "")
    hanging.released.set()


def test_a_logger_that_falls_behind_is_given_up_instead_of_filling_the_memory(warnings, monkeypatch):
    monkeypatch.setattr(logger_queue, "WAITING", 10)
    hanging = Hanging()
    loggers = Loggers({"hanging": hanging})
    for step in range(20):
        loggers.tell("scalars", "step", step, {})
    assert loggers.active == []
    assert len(warnings) == 1
    assert "10 events behind" in warnings[0]
    threading.Timer(0.1, hanging.released.set).start()
    hanging.patience = 5.0
    loggers.finish("done")
    assert hanging.heard[-1][0] == "failed", "its server is told, though nothing more fits into its queue"


def test_only_those_hear_who_want_it():
    every, third, never = Listening(wants={"steps": 1}), Listening(wants={"steps": 3}), Listening(wants={"steps": 0})
    loggers = Loggers({"every": every, "third": third, "never": never})
    for step in range(1, 7):
        loggers.tell("scalars", "step", step, {}, to=loggers.wanting("steps", step))
    assert [number for _, number in every.heard] == [1, 2, 3, 4, 5, 6]
    assert [number for _, number in third.heard] == [3, 6]
    assert never.heard == []
    assert loggers.wanting("images") == []
