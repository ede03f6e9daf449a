"""history.csv in the run's folder: a row an epoch."""

import csv as csv_format
from pathlib import Path

from malaria_exp.config.registry import register
from malaria_exp.tracking.logger_interface import Axis, Logger, Run
from malaria_exp.utils.atomic_files import write_text
from malaria_exp.utils.rows import Row


@register("logger", "csv")
def csv() -> Logger:
    """Writes history.csv, a row an epoch, as training goes on."""
    return CsvLogger()


class CsvLogger(Logger):
    """Appends each epoch's row and flushes it, so that a run that is killed leaves what it had; its columns are those of the first row."""

    path: Path

    def __init__(self) -> None:
        self.columns: list[str] = []

    def start(self, run: Run) -> None:
        """Chooses the file; of a run that goes on, it keeps the epochs that are done."""
        self.path = run.folder / "history.csv"
        if run.resumed is not None and self.path.exists():
            lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)[: run.resumed.epoch + 1]
            self.columns = lines[0].strip().split(",") if run.resumed.epoch else []
            write_text(self.path, "".join(lines if self.columns else []))

    def scalars(self, axis: Axis, number: int, values: Row) -> None:
        """Appends an epoch's row."""
        if axis != "epoch":
            return
        with self.path.open("a", encoding="utf-8", newline="") as file:
            writer = csv_format.writer(file, lineterminator="\n")
            if not self.columns:
                self.columns = list(values)
                writer.writerow(self.columns)
            writer.writerow([values.get(column, "") for column in self.columns])
