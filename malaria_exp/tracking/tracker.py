"""What the loggers of a run are told, and when."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import build
from malaria_exp.config.run_config import Config
from malaria_exp.config.run_files import MODEL_FILE
from malaria_exp.data.cell_table import CLASS_NAMES, CellTable
from malaria_exp.data.seeds import Batches
from malaria_exp.data.subsets import Cells, Data
from malaria_exp.evaluation.evaluation_result import EvaluationResult
from malaria_exp.evaluation.predictions import sigmoid
from malaria_exp.tracking.graph_def import graph_def
from malaria_exp.tracking.logger_interface import Artifact, Logger, Position, Run, Status
from malaria_exp.tracking.logger_queue import Loggers
from malaria_exp.tracking.result_tables import final_numbers, predictions_table, results_text, spread
from malaria_exp.tracking.run_facts import describe_run, run_params
from malaria_exp.utils.atomic_files import write_atomically
from malaria_exp.utils.errors import ConfigError, UserError
from malaria_exp.utils.rows import Row
from malaria_exp.utils.tensorflow_setup import load_tensorflow

if TYPE_CHECKING:
    import keras

    from malaria_exp.evaluation.plots.epoch import EpochPlots

UNTRAINED_FILE = "untrained.keras"
# Cells shown of each class, and of a batch. Gradients are those of so many cells of a batch.
SAMPLES, BATCH_SAMPLES = 16, 32


def open_tracker(config: Config, folder: Path, overrides: list[str], resumed: Position | None = None) -> "Tracker":
    """Builds the run's loggers, which a missing package or a wrong parameter stops before any work is done.

    Args:
        config: the run's configuration.
        folder: its folder.
        overrides: what the user typed.
        resumed: where the run goes on, if it was cut off.
    """
    loggers = {choice.name: build("logger", choice.name, choice.params, path=choice.path) for choice in config.choices["logger"]}
    for name, logger in loggers.items():
        if not isinstance(logger, Logger):
            raise ConfigError(
                f"logger: '{name}' built {str(logger)[:80]!r} ({type(logger).__name__}); expected a Logger of malaria_exp.tracking.logger_interface."
            )
    if any(logger.patience is not None for logger in loggers.values()):
        # Before there are several threads: an import fails if two threads run it at once.
        load_tensorflow()
    return Tracker(Loggers(loggers), replace(describe_run(config, folder, overrides), resumed=resumed))


class Tracker:
    """Tells the loggers of a run what there is to tell.

    Args:
        loggers: of the run; empty for the workers of a distributed run, but for the chief.
        run: its facts; None if there are no loggers.
    """

    def __init__(self, loggers: Loggers, run: Run | None = None) -> None:
        self.loggers, self.run = loggers, run
        self.leaky = False
        self._model_name = f"{run.config['model']['name']}-model" if run else "model"
        self._batch: tuple[np.ndarray, ...] | None = None
        self._plots: EpochPlots | None = None

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Starts the loggers, and ends them with the status of the work inside."""
        status: Status = "failed"
        reason = ""
        try:
            self.loggers.tell("start", self.run)
            if self.run is not None and not self._under_way:
                self.loggers.tell("hparams", run_params(self.run.config, tuple(self.run.overrides)))
                self.loggers.tell("text", "config", f"```yaml\n{(self.run.folder / 'config.yaml').read_text(encoding='utf-8')}\n```")
            yield
            status = "done"
        except KeyboardInterrupt:
            status, reason = "interrupted", "stopped by Ctrl-C or a signal"
            raise
        except BaseException as error:
            reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            raise
        finally:
            self.loggers.finish(status, reason)

    def data(self, table: CellTable, data: Data, source: str | None) -> None:
        """The cells are read and divided.

        Args:
            table: the dataset.
            data: its subsets.
            source: what `init_from` read its weights from, if it did.
        """
        manifest = data.manifest
        self.leaky = manifest.leaky
        if self._under_way:
            return
        facts: dict[str, Any] = {"data_hash": table.data_hash, **table.summary()}
        self.loggers.tell("artifact", Artifact(table.name, "dataset", facts=facts, made=False))
        if self.run is not None:
            facts = {"split_hash": manifest.hash, "protocol": manifest.protocol, "leaky": manifest.leaky}
            self.loggers.tell("artifact", Artifact(f"{table.name}-split", "split", (self.run.folder / "split.csv",), facts))
        if source is not None:
            self.loggers.tell("artifact", Artifact(source, "model", made=False))
        if wanting := self.loggers.wanting("images"):
            cells, _ = data.training()
            rows = np.concatenate([spread(np.flatnonzero(cells.labels == label), SAMPLES) for label in (1, 0)])
            captions = [f"{CLASS_NAMES[cells.labels[row]]}, patient {manifest.patient[cells.rows[row]]}" for row in rows]
            self.loggers.tell("images", "samples", cells.pixel_cache.take(cells.rows[rows]), captions, to=wanting)

    def training(self, length: RunLength, monitor: str, model: "keras.Model", batches: Batches) -> None:
        """Training is about to begin."""
        tell_made, wanting = self.loggers.tell_made, self.loggers.wanting
        self.loggers.tell("training", length, monitor)
        if self._under_way:
            if wanting("gradients"):
                self._batch = tuple(array.numpy() for array in next(iter(batches.dataset())))
            return
        # On this thread: a call changes the state of a Keras model, which another thread must not use at the same time.
        tell_made("graph", "the model's graph", lambda: (graph_def(model),), to=wanting("graph"))
        tell_made("artifact", "the artifact of the untrained model", lambda: self._untrained(model), to=wanting("untrained"))
        images = wanting("images")
        if images or wanting("gradients"):
            self._batch = tuple(array.numpy() for array in next(iter(batches.dataset())))
        if images and self._batch is not None:
            pictures, labels = self._batch[:2]
            shown = (pictures[:BATCH_SAMPLES] * 255).round().astype(np.uint8)
            self.loggers.tell("images", "augmented_batch", shown, [f"label {label:.2f}" for label in labels[:BATCH_SAMPLES, 0]], to=images)

    def _untrained(self, model: "keras.Model") -> tuple[Artifact]:
        if self.run is None:
            raise TypeError("Expected the facts of the run.")
        path = self.run.folder / UNTRAINED_FILE
        write_atomically(path, model.save)
        return (Artifact(self._model_name, "model", (path,), aliases=("untrained",)),)

    @property
    def _under_way(self) -> bool:
        """Whether the run goes on in its training: the loggers have what comes before."""
        return self.run is not None and self.run.resumed is not None and self.run.resumed.step > 0

    def settle(self) -> None:
        """A checkpoint will be written, and the loggers are to have kept what they were told until now."""
        self.loggers.settle()

    def step(self, step: int, values: Row) -> None:
        """A training step is done."""
        self.loggers.tell("scalars", "step", step, values, to=self.loggers.wanting("steps", step))

    def epoch(
        self,
        row: Row,
        val: Cells,
        logits: np.ndarray,
        model: "keras.Model",
        gradients: Callable[[tuple[np.ndarray, ...]], dict[str, np.ndarray]] | None = None,
    ) -> None:
        """An epoch is done, its validation too.

        Args:
            row: of history.csv.
            val: the validation cells.
            logits: theirs, (N,).
            model: with the weights that were validated.
            gradients: takes a training batch and returns the loss' gradients by name; None if they cannot be had.
        """
        number, tell, tell_made, wanting = int(row["epoch"]), self.loggers.tell, self.loggers.tell_made, self.loggers.wanting
        tell("scalars", "epoch", number, row)
        if figures := wanting("figures", number):
            labels, scores, plots = val.labels, sigmoid(logits), self._epoch_plots()
            tell("scores", "val", labels, scores, number, to=figures)
            for name, draw in {"val_confusion_matrix": plots.confusion_matrix, "val_roc": plots.roc}.items():
                tell_made(
                    "figure", f"the figure {name}", partial(lambda name, draw: (name, draw(labels, scores), number), name, draw), to=figures
                )
        weights = wanting("histograms", number)
        tell_made(
            "histograms", "histograms", lambda: (number, {f"weights/{item.path}": np.array(item) for item in model.weights}), to=weights
        )
        if gradients and (batch := self._batch) is not None:
            # Of a few cells: gradients of a whole batch would cost as much as a training step.
            few = tuple(array[:BATCH_SAMPLES] for array in batch)
            tell_made("histograms", "gradients", lambda: (number, gradients(few)), to=wanting("gradients", number))

    def _epoch_plots(self) -> "EpochPlots":
        from malaria_exp.evaluation.plots.epoch import EpochPlots

        if self._plots is None:
            self._plots = EpochPlots(leaky=self.leaky)
        return self._plots

    def evaluated(self, folder: Path, result: EvaluationResult) -> None:
        """The run is evaluated, and its files are written."""
        tell, metrics = self.loggers.tell, result.metrics
        for subset in result.predictions.subsets:
            predictions = result.predictions.select(subset)
            tell("scores", subset, predictions.label, predictions.score, None)
        for path in sorted((folder / "plots").glob("*.png")):
            tell("figure", path.stem, path.read_bytes(), None)
        if wanting := self.loggers.wanting("images"):
            tell("table", "predictions", predictions_table(result), to=wanting)
        tell("text", "results", results_text(metrics))
        tell("results", final_numbers(metrics))
        facts = {key: value for key, value in final_numbers(metrics).items() if key.count("/") == 1}
        tell("artifact", Artifact(self._model_name, "model", (folder / MODEL_FILE, folder / "model.json"), facts, ("trained",)))
        files = ("report.html", "metrics.json", "predictions.csv", "config.yaml", "provenance.json")
        tell("artifact", Artifact("report", "report", tuple(folder / name for name in files)))
