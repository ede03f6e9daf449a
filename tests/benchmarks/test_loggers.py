"""The program that measures what loggers cost: who has a turn when, what is counted, and the table made of it."""

import threading
import time
from pathlib import Path

import pytest

from malaria_exp.config.durations import RunLength

STEPS, EPOCHS = 3, 2


@pytest.fixture(scope="module")
def loggers(load):
    return load("loggers")


def train(tracker, epochs):
    """What a training tells a tracker."""
    tracker.training(RunLength(epochs, STEPS, 4), "val_auc", None, None)
    for epoch in range(1, epochs + 1):
        for step in range(STEPS):
            tracker.step(STEPS * (epoch - 1) + step + 1, {"loss": 0.5})
        tracker.epoch({"epoch": epoch, "loss": 0.5, "val_auc": 0.5, "seconds": 1.0}, None, None, None)


def test_every_side_has_its_turns_and_none_stands_around_them(loggers):
    turns = loggers.plan(["none", "a", "b", "c"], 3)
    assert turns[0] == turns[-1] == "none"
    assert {name: turns.count(name) for name in "abc"} == {"a": 3, "b": 3, "c": 3}
    assert all("none" in turns[place : place + loggers.NONE_AFTER + 1] for place in range(len(turns) - loggers.NONE_AFTER))
    assert loggers.plan(["none", "a"], 1) == ["none", "a", "none"]


def test_each_turn_has_a_logger_of_its_own_and_one_epoch_that_is_not_counted(loggers, tmp_path):
    turns = ["none", "csv", "jsonl", "none"]
    tracker = loggers.TurnsTracker(turns, EPOCHS, tmp_path)
    train(tracker, len(turns) * (EPOCHS + 1))
    assert [turn.side for turn in tracker.done] == turns
    assert all(len(turn.step) == len(turn.held) == len(turn.elsewhere) == EPOCHS for turn in tracker.done)
    assert all(0 <= held <= step for turn in tracker.done for held, step in zip(turn.held, turn.step, strict=True))
    rows = (tmp_path / "outputs" / "1" / "history.csv").read_text().splitlines()
    assert len(rows) == 1 + EPOCHS + 1
    assert not (tmp_path / "outputs" / "0" / "history.csv").exists()


def test_the_cost_is_that_against_the_turns_of_none_beside_it(loggers):
    """The machine becomes slower by the half while it is measured."""
    turns = [
        loggers.Turn("none", [0.100], [0.0], [0.0]),
        loggers.Turn("csv", [0.1375], [0.001], [0.0], 0.25),
        loggers.Turn("none", [0.150], [0.0], [0.0]),
    ]
    row = loggers.describe(turns, "bfloat16", 85).splitlines()[-1]
    assert row == "| csv | +10.0 (+10.0 to +10.0) | 1.00 | 0.00 | 0.8 | 0.25 |"


def test_the_processor_time_of_a_thread_that_works_is_counted_and_one_that_has_ended_does_no_harm(loggers, monkeypatch):
    """A thread may end between being listed and being read."""
    go_on, ended = threading.Event(), threading.Thread(target=lambda: None)
    ended.start()
    ended.join()

    def work():
        while not go_on.is_set():
            sum(range(1000))

    busy = threading.Thread(target=work)
    before = loggers.cpu_elsewhere()
    busy.start()
    listed = [*threading.enumerate(), ended]
    monkeypatch.setattr(loggers.threading, "enumerate", lambda: listed)
    try:
        until = time.monotonic() + 20
        while loggers.cpu_elsewhere() <= before and time.monotonic() < until:
            time.sleep(0.01)
        if Path("/proc/self/stat").exists():
            assert loggers.cpu_elsewhere() > before
    finally:
        go_on.set()
        busy.join()
