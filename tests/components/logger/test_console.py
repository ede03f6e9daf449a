import io
import logging
import re

import pytest
from rich.console import Console

from malaria_exp.components.logger import console as module
from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import build
from malaria_exp.utils.progress_bars import track
from malaria_exp.utils.terminal_log import RESULT, TerminalHandler, log


@pytest.fixture
def lines():
    """What run.log would hold."""
    found = []

    class Collect(logging.Handler):
        def emit(self, record):
            found.append(record.getMessage())

    handler, level = Collect(), log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield found
    log.removeHandler(handler)
    log.setLevel(level)


@pytest.fixture
def screen(monkeypatch):
    """A terminal of 120 columns whose output is kept, with the log's handler on it."""
    console = Console(file=io.StringIO(), force_terminal=True, width=120, highlight=False, color_system=None, legacy_windows=False)
    for name in (
        "malaria_exp.utils.progress_bars.console",
        "malaria_exp.utils.terminal_log.console",
        "malaria_exp.components.logger.console.terminal",
    ):
        monkeypatch.setattr(name, lambda: console)
    # Another test of this process may have started the terminal's log, through which each line would come twice.
    others = [handler for handler in log.handlers if not isinstance(handler, TerminalHandler)]
    monkeypatch.setattr(log, "handlers", [*others, TerminalHandler()])
    return console.file


def rows(screen):
    """The table's lines, without the codes that move the cursor."""
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", screen.getvalue()).replace("\r", "\n")
    return [line.rstrip() for line in plain.splitlines() if line.strip().startswith(("1/2", "2/2"))]


def train(logger, run, monitor="val_auc"):
    logger.start(run)
    log.info("split     of the data")
    logger.training(RunLength(epochs=2, steps_per_epoch=3, batch_size=4), monitor)
    for epoch, value in ((1, 0.75), (2, 0.5)):
        for step in range(3):
            logger.scalars("step", 3 * (epoch - 1) + step + 1, {"loss": 0.5})
        row = {"epoch": epoch, "loss": 0.5, "val_auc": value, "val_log_loss": value, "seconds": 1.5, "cells_per_second": 1234.5}
        logger.scalars("epoch", epoch, row | {"learning_rate": 0.001})
    log.log(RESULT, "test      10 cells")
    logger.finish("done", "")


def test_a_line_an_epoch_even_without_a_terminal(run, lines):
    logger = build("logger", "console", {})
    assert logger.mode == "plain"
    train(logger, run)
    assert lines[1:3] == ["epoch   1/2  loss 0.5000  val_auc 0.7500  1.5 s", "epoch   2/2  loss 0.5000  val_auc 0.5000  1.5 s"]


def test_the_monitor_is_shown_whatever_it_is(run, lines):
    train(build("logger", "console", {"mode": "plain"}), run, "val_log_loss")
    assert lines[1] == "epoch   1/2  loss 0.5000  val_auc 0.7500  val_log_loss 0.7500  1.5 s"


def test_on_a_terminal_a_table_with_the_best_epoch_marked_and_the_labeled_lines_in_the_log(run, lines, screen):
    logger = build("logger", "console", {})
    assert logger.mode == "rich"
    train(logger, run)
    shown = screen.getvalue()
    assert "learning rate" in shown
    table = rows(screen)
    assert ["best" in line for line in table] == [True, False]
    assert "1,234" in table[0]
    assert "cells/s" in shown and "epoch   1/2" not in shown
    assert lines[1].startswith("epoch   1/2")


def test_the_bar_goes_when_the_last_epoch_is_over(run, screen):
    logger = build("logger", "console", {"mode": "rich"})
    logger.training(RunLength(epochs=2, steps_per_epoch=3, batch_size=4), "val_auc")
    for epoch, shown in ((1, True), (2, False)):
        logger.scalars("epoch", epoch, {"epoch": epoch, "loss": 0.5, "val_auc": 0.5, "seconds": 1.0})
        assert logger.bar.live.is_started == shown
    logger.finish("done", "")


@pytest.mark.parametrize("width", [50, 60, 80, 100, 140])
def test_no_line_of_the_table_is_longer_than_the_terminal(run, screen, width):
    module.terminal().width = width
    train(build("logger", "console", {"mode": "rich"}), run)
    table = rows(screen)
    assert len(table) == 2
    assert max(map(len, table)) <= width
    assert all(line.split()[1:3] == ["0.5000", value] for line, value in zip(table, ("0.7500", "0.5000"), strict=True)), "loss and monitor"
    assert table[0].endswith("best")


@pytest.mark.parametrize(
    "width,shown", [(60, "val_auc 0.7500  96/s left"), (80, "best val_auc 0.7500  96 cells/s left"), (130, "elapsed 0:")]
)
def test_the_bar_shows_loss_monitor_speed_and_time_left_however_narrow_the_terminal(run, screen, width, shown):
    module.terminal().width = width
    logger = build("logger", "console", {"mode": "rich"})
    logger.training(RunLength(epochs=10, steps_per_epoch=129, batch_size=4), "val_auc")
    logger.best = 0.75
    logger.scalars("step", 200, {"loss": 0.5})
    logger.bar.update(
        logger.task, values=f"{logger.bar.tasks[0].fields['values'].rpartition('  ')[0]}  96{'/s' if width < 80 else ' cells/s'}"
    )
    page = Console(file=io.StringIO(), width=width, color_system=None)
    page.print(logger.bar.get_renderable())
    logger.bar.stop()
    (line,) = page.file.getvalue().splitlines()[:1]
    assert shown in line
    assert "epoch 2/10" in line and "loss 0.5000" in line and "left -:--:--" in line
    assert len(line.rstrip()) <= width


@pytest.mark.parametrize("monitor,best", [("val_auc", [True, False]), ("val_log_loss", [True, True])])
def test_the_best_epoch_follows_the_monitors_direction(run, screen, monitor, best):
    train(build("logger", "console", {"mode": "rich"}), run, monitor)
    assert [line.endswith("best") for line in rows(screen)] == best


def test_quiet_shows_the_results_and_nothing_before_them(run, lines, screen):
    train(build("logger", "console", {"mode": "quiet"}), run)
    assert screen.getvalue().split() == ["test", "10", "cells"]
    assert len(lines) == 4, "run.log misses nothing"
    log.info("the next run")
    assert "the next run" in screen.getvalue()


@pytest.mark.parametrize("mode", ["plain", "quiet"])
def test_no_bar_is_drawn_for_a_log_that_is_a_file_even_on_a_terminal(run, screen, mode):
    logger = build("logger", "console", {"mode": mode})
    logger.start(run)
    assert list(track([1, 2], "decoding", total=2)) == [1, 2]
    logger.training(RunLength(epochs=2, steps_per_epoch=3, batch_size=4), "val_auc")
    logger.scalars("step", 1, {"loss": 0.5})
    logger.finish("done", "")
    assert screen.getvalue() == ""
    assert list(track([1, 2], "decoding", total=2)) == [1, 2]
    assert "decoding" in screen.getvalue()


def test_finishing_a_logger_that_never_started_is_no_error():
    build("logger", "console", {}).finish("failed", "")


def test_modes_are_checked():
    with pytest.raises(Exception, match=r"logger.mode: expected one of 'auto', 'rich', 'plain', 'quiet'"):
        build("logger", "console", {"mode": "loud"})
    assert module.REFRESH_SECONDS > 0
