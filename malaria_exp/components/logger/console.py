"""The terminal: a progress bar with loss, monitor and speed, and a line an epoch."""

import math
import time
from typing import Literal

from rich.markup import escape
from rich.progress import TextColumn

from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import register
from malaria_exp.evaluation.metrics import METRICS, direction
from malaria_exp.tracking.logger_interface import Axis, Logger, Run, Status
from malaria_exp.utils.progress_bars import REFRESHES_PER_SECOND, hide_bars, progress_bar, short_progress_bar
from malaria_exp.utils.progress_bars import console as terminal
from malaria_exp.utils.rows import Row
from malaria_exp.utils.terminal_log import BESIDE_TERMINAL, RESULT, log, set_terminal_level

# What an epoch's line shows, and under which name.
SHOWN = {"loss": "loss", "val_loss": "val_loss", "val_auc": "val_auc", "val_sensitivity": "val_sens", "val_specificity": "val_spec"}
REFRESH_SECONDS = 1 / REFRESHES_PER_SECOND
# Columns of the terminal that the whole bar needs, and that a narrower bar with the best value needs.
WIDE, WITH_BEST = 120, 80
# Columns that the table of epochs drops, in this order, on a narrow terminal; run.log has all of them.
LEAVE_OUT = ("learning rate", "cells/s", "val_spec", "val_sens", "seconds", "val_loss")
EPOCH_LETTERS, CELL_LETTERS, BEST = 8, 7, " best"

Mode = Literal["auto", "rich", "plain", "quiet"]


@register("logger", "console")
def console(*, mode: Mode = "auto") -> Logger:
    """Shows progress with loss, monitor, cells per second and time left, and a line an epoch.

    Args:
        mode: rich draws a progress bar and a table of epochs; plain prints labeled lines and no bars, for output that goes to a file;
            quiet prints warnings and the results at the end; auto is rich on a terminal and plain elsewhere.
    """
    return ConsoleLogger(mode)


class ConsoleLogger(Logger):
    """Prints to the terminal; run.log gets the labeled lines in every mode.

    Args:
        mode: see `console`.
    """

    def __init__(self, mode: Mode = "auto") -> None:
        self.wants = {"steps": 1}
        self.mode = ("rich" if terminal().is_terminal else "plain") if mode == "auto" else mode
        self.bar = (progress_bar if terminal().width >= WIDE else short_progress_bar)(TextColumn("{task.fields[values]}"))
        self.bar.disable = self.mode != "rich"
        self.length, self.monitor = RunLength(1, 1, 1), "val_auc"
        self.shown_at, self.best = 0.0, math.nan
        self.columns: list[str] = []

    def start(self, run: Run) -> None:
        """Silences the terminal in quiet mode, and its bars in plain mode, too."""
        hide_bars(self.mode != "rich")
        if self.mode == "quiet":
            set_terminal_level(RESULT)

    def training(self, length: RunLength, monitor: str) -> None:
        """Starts the bar."""
        self.length, self.monitor = length, monitor
        self.bar.start()
        self.task = self.bar.add_task(f"epoch 1/{length.epochs}", total=length.steps, values="")

    def scalars(self, axis: Axis, number: int, values: Row) -> None:
        """Moves the bar, as often as it is drawn, or shows an epoch."""
        if axis == "epoch":
            self._epoch(values)
            return
        now = time.perf_counter()
        if now - self.shown_at >= REFRESH_SECONDS and self.mode == "rich":
            self.shown_at = now
            epoch = min(int(self.length.epochs_at(number)) + 1, self.length.epochs)
            speed = (self.bar.tasks[0].speed or 0) * self.length.batch_size
            narrow = terminal().width < WITH_BEST
            monitor = SHOWN.get(self.monitor, self.monitor)
            best = "" if math.isnan(self.best) else f"  {'' if narrow else 'best '}{monitor} {self.best:.4f}"
            text = f"loss {values.get('loss', math.nan):.4f}{best}  {speed:,.0f}{'/s' if narrow else ' cells/s'}"
            self.bar.update(self.task, completed=number, description=f"epoch {epoch}/{self.length.epochs}", values=text)

    def _epoch(self, row: Row) -> None:
        shown = {short: row[name] for name, short in SHOWN.items() if name in row}
        if self.monitor in row and self.monitor not in SHOWN:
            shown[self.monitor] = row[self.monitor]
        values = "  ".join(f"{name} {value:.4f}" for name, value in shown.items())
        beside = {BESIDE_TERMINAL: True} if self.mode == "rich" else None
        log.info(f"epoch {row['epoch']:>3.0f}/{self.length.epochs}  {values}  {row['seconds']:.1f} s", extra=beside)
        value = row.get(self.monitor, math.nan)
        better = math.isnan(self.best) or (value > self.best if self._rising() else value < self.best)
        self.best = value if better else self.best
        if self.mode == "rich":
            more = {"learning rate": f"{row.get('learning_rate', math.nan):.2e}", "cells/s": f"{row.get('cells_per_second', 0):,.0f}"}
            cells = {name: f"{value:.4f}" for name, value in shown.items()} | more | {"seconds": f"{row['seconds']:.1f}"}
            self._table_row(f"{row['epoch']:.0f}/{self.length.epochs}", cells, best=better)
        if row["epoch"] >= self.length.epochs:
            # Evaluation follows; a bar that stands still would look like training that hangs.
            self.bar.stop()

    def _rising(self) -> bool:
        name = self.monitor.removeprefix("val_")
        return name in METRICS and direction(self.monitor) == "max"

    def _table_row(self, epoch: str, cells: dict[str, str], *, best: bool) -> None:
        if not self.columns:
            self.columns = fitting_columns(list(cells), self.monitor, terminal().width)
            head = "epoch".rjust(EPOCH_LETTERS) + "".join(f"  {name:>{_width(name)}}" for name in self.columns)
            terminal().print("[bold]" + escape(head) + "[/]")
        line = epoch.rjust(EPOCH_LETTERS) + "".join(f"  {cells.get(name, ''):>{_width(name)}}" for name in self.columns)
        terminal().print(escape(line) + (f"[green]{BEST}[/]" if best else ""))

    def finish(self, status: Status, reason: str) -> None:
        """Takes the bar away and lets the terminal speak again."""
        self.bar.stop()
        hide_bars(False)
        if self.mode == "quiet":
            set_terminal_level(None)


def fitting_columns(names: list[str], monitor: str, width: int) -> list[str]:
    """Returns the columns of the table of epochs that fit into a terminal of this width; the loss and the monitor always stay."""
    for name in LEAVE_OUT:
        if EPOCH_LETTERS + sum(2 + _width(column) for column in names) + len(BEST) <= width:
            break
        if name != SHOWN.get(monitor, monitor):
            names = [column for column in names if column != name]
    return names


def _width(name: str) -> int:
    return max(len(name), CELL_LETTERS)
