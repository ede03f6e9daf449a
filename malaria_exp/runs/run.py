"""A run as the Python API hands it out: its folder, and what stands in it."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.summary import reported_subset
from malaria_exp.runs.read_files import HISTORY, read_config, read_history, read_metrics, read_predictions, read_status
from malaria_exp.runs.saved_model import load_model
from malaria_exp.utils.errors import RunFolderError
from malaria_exp.utils.rows import Row

if TYPE_CHECKING:
    import keras

TASKS = ("train", "evaluate")


class Run:
    """A finished run. Everything is read from its folder when it is first asked for.

    Args:
        folder: the run folder, on this machine.

    Raises:
        RunFolderError: there is no finished run in the folder. A file that is missing or damaged raises it when it is asked for.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        status = self.status
        if status.get("task") not in TASKS or status.get("status") != "done":
            raise RunFolderError(
                f"'{folder}' is no finished run: task {status.get('task')}, status {status.get('status')}. {status.get('reason', '')}".rstrip()
            )

    def __repr__(self) -> str:
        subset = reported_subset(self.metrics)
        auc = self.metrics["subsets"][subset]["ranking"]["auc"]["value"]
        value = "undefined" if auc is None else f"{auc:.4f}"
        return f"Run('{self.folder}', {self.status['task']}, {subset} AUC {value}{', LEAKY' if self.metrics.get('leaky') else ''})"

    @cached_property
    def status(self) -> dict[str, Any]:
        """status.json: task, status, start, seconds, the overrides that were typed, the headline numbers."""
        return read_status(self.folder)

    @cached_property
    def config(self) -> dict[str, Any]:
        """config.yaml: the composed configuration as nested plain values."""
        return read_config(self.folder)

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """metrics.json: for each subset the metrics with their intervals, thresholds, facts of split and training."""
        return read_metrics(self.folder)

    @cached_property
    def history(self) -> list[Row]:
        """history.csv: a row an epoch, {column: number}, nan where there is no number; empty if nothing was trained."""
        return read_history(self.folder / HISTORY)

    @cached_property
    def predictions(self) -> Predictions:
        """predictions.csv: cell, patient, slide, label (1 = parasitized), score in [0, 1] and subset of every scored cell."""
        return read_predictions(self.folder)

    @property
    def report(self) -> Path:
        """The report, one HTML file."""
        return self.folder / "report.html"

    def model(self) -> "keras.Model":
        """Returns the trained model, float32 images (B, size, size, 3) in [0, 1] to calibrated logits (B, 1), rebuilt from the registry.

        Raises:
            RunFolderError: the folder holds no model, as that of task=evaluate, or a damaged one.
        """
        return load_model(self.folder).model
