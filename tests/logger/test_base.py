import logging

import pytest

from malaria_exp.durations import RunLength
from malaria_exp.logger._base import Logger, Loggers
from malaria_exp.logs import log


class Failing(Logger):
    def __init__(self):
        self.calls = 0

    def epoch(self, row):
        self.calls += 1
        raise OSError("disk full")


class Listening(Logger):
    def __init__(self):
        self.heard = []

    def start(self, length):
        self.heard.append("start")

    def step(self, step, values):
        self.heard.append(step)

    def epoch(self, row):
        self.heard.append(row["epoch"])

    def finish(self, status):
        self.heard.append(status)


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


def test_a_failing_logger_is_reported_once_and_the_others_go_on(warnings):
    failing, listening = Failing(), Listening()
    loggers = Loggers({"failing": failing, "listening": listening})
    loggers.start(RunLength(2, 1, 1))
    for epoch in (1, 2):
        loggers.step(epoch, {})
        loggers.epoch({"epoch": epoch})
    loggers.finish("done")
    assert failing.calls == 1
    assert len(warnings) == 1
    assert "failing" in warnings[0]
    assert "disk full" in warnings[0]
    assert listening.heard == ["start", 1, 1, 2, 2, "done"]
