"""The terminal: a progress bar with loss and speed, and a line an epoch."""

import time
from pathlib import Path

from rich.progress import TextColumn

from malaria_exp.durations import RunLength
from malaria_exp.logger._base import Logger, Row
from malaria_exp.logs import log
from malaria_exp.progress import progress_bar
from malaria_exp.registry import register

# What an epoch's line shows, and under which name.
SHOWN = {"loss": "loss", "val_loss": "val_loss", "val_auc": "val_auc", "val_sensitivity": "val_sens", "val_specificity": "val_spec"}
REFRESH_SECONDS = 0.1


@register("logger", "console")
def console(folder: Path, /) -> Logger:  # noqa: ARG001
    """Shows a progress bar with loss, cells per second and time left, and prints a line an epoch."""
    return ConsoleLogger()


class ConsoleLogger(Logger):
    """Prints to the terminal; where there is none, only the lines remain."""

    def __init__(self) -> None:
        self.bar = progress_bar(TextColumn("{task.fields[values]}"))
        self.length = RunLength(1, 1, 1)
        self.shown_at = 0.0

    def start(self, length: RunLength) -> None:
        """Starts the bar."""
        self.length = length
        self.bar.start()
        self.task = self.bar.add_task(f"epoch 1/{length.epochs}", total=length.steps, values="")

    def step(self, step: int, values: Row) -> None:
        """Moves the bar, ten times a second at most."""
        now = time.perf_counter()
        if now - self.shown_at >= REFRESH_SECONDS:
            self.shown_at = now
            epoch = min(step // self.length.steps_per_epoch + 1, self.length.epochs)
            speed = (self.bar.tasks[0].speed or 0) * self.length.batch_size
            text = f"loss {values.get('loss', float('nan')):.4f}  {speed:,.0f} cells/s"
            self.bar.update(self.task, completed=step, description=f"epoch {epoch}/{self.length.epochs}", values=text)

    def epoch(self, row: Row) -> None:
        """Prints the epoch's line."""
        values = "  ".join(f"{short} {row[name]:.4f}" for name, short in SHOWN.items() if name in row)
        log.info(f"epoch {row['epoch']:>3.0f}/{self.length.epochs}  {values}  {row['seconds']:.1f} s")

    def finish(self, status: str) -> None:
        """Takes the bar away."""
        self.bar.stop()
