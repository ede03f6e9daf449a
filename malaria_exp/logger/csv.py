"""history.csv in the run's folder: a row an epoch."""

import csv as csv_format
from pathlib import Path

from malaria_exp.logger._base import Logger, Row
from malaria_exp.registry import register


@register("logger", "csv")
def csv(folder: Path, /) -> Logger:
    """Writes history.csv, a row an epoch, as training goes on."""
    return CsvLogger(folder / "history.csv")


class CsvLogger(Logger):
    """Appends each epoch's row and flushes it, so that a run that is killed leaves what it had.

    Args:
        path: the file; its columns are those of the first row.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns: list[str] = []

    def epoch(self, row: Row) -> None:
        """Appends the row."""
        with self.path.open("a", encoding="utf-8", newline="") as file:
            writer = csv_format.writer(file, lineterminator="\n")
            if not self.columns:
                self.columns = list(row)
                writer.writerow(self.columns)
            writer.writerow([row.get(column, "") for column in self.columns])
