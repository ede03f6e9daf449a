"""What the loggers of a run are told, and when: the one place that makes pictures, tables and records of its parts for them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import OmegaConf

from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import build
from malaria_exp.config.run_config import Config
from malaria_exp.config.run_files import MODEL_FILE
from malaria_exp.data.cell_table import CLASS_NAMES, CellTable
from malaria_exp.data.seeds import Batches
from malaria_exp.data.subsets import Cells, Data
from malaria_exp.evaluation.evaluation_result import EvaluationResult
from malaria_exp.evaluation.predictions import sigmoid
from malaria_exp.evaluation.summary import reported_subset
from malaria_exp.tracking.graph_def import graph_def
from malaria_exp.tracking.logger_interface import Artifact, Run, Status, Table
from malaria_exp.tracking.logger_queue import Loggers
from malaria_exp.utils.errors import UserError
from malaria_exp.utils.redaction import redact_overrides
from malaria_exp.utils.rows import Row
from malaria_exp.utils.tensorflow_setup import load_tensorflow

if TYPE_CHECKING:
    import keras

    from malaria_exp.evaluation.plots.epoch import EpochPlots

# Hydra keeps this file in the folder of a multirun, above the jobs' own folders.
MULTIRUN_FILE = "multirun.yaml"
UNTRAINED_FILE = "untrained.keras"
# Cells shown of a class; of a batch, whose gradients are taken too; and in the table of predictions.
SAMPLES, BATCH_SAMPLES, TABLE_CELLS = 16, 32, 96
# The groups whose option tells a run from others; those with several options are joined by "+".
TELLING_GROUPS = ("dataset", "split", "aug", "model", "loss", "optimizer", "schedule", "trainer")


def open_tracker(config: Config, folder: Path, overrides: list[str]) -> "Tracker":
    """Builds the run's loggers, which a missing package or a wrong parameter stops before any work is done."""
    loggers = {choice.name: build("logger", choice.name, choice.params, path=choice.path) for choice in config.choices["logger"]}
    if any(logger.patience is not None for logger in loggers.values()):
        # Before there are several threads: an import that two of them are in the middle of fails.
        load_tensorflow()
    return Tracker(Loggers(loggers), describe_run(config, folder, overrides))


def describe_run(config: Config, folder: Path, overrides: list[str]) -> Run:
    """Returns the facts of a run whose folder holds its config.yaml."""
    group = folder.parent.name if (folder.parent / MULTIRUN_FILE).exists() else None
    fold = config.one("split").params.get("fold")
    composed = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"), resolve=False)
    if not isinstance(composed, dict):
        raise TypeError("Expected a mapping in config.yaml.")
    plain = {str(key): value for key, value in composed.items()}
    name = f"{group}-{folder.name}" if group else folder.name
    return Run(folder, name, group, "train" if fold is None else f"fold-{fold}", plain, redact_overrides(overrides))


def run_params(config: Mapping[str, Any], overrides: list[str] | tuple[str, ...] = ()) -> dict[str, str | int | float | bool]:
    """Returns what tells a run from others: the options of its groups, seed, batch size and learning rate, and what was set by hand.

    Args:
        config: the composed configuration, nested.
        overrides: what the user typed; of these, keys with a plain value are taken from the configuration.
    """
    params: dict[str, str | int | float | bool] = {}
    for group in TELLING_GROUPS:
        node = config.get(group)
        if isinstance(node, Mapping):
            params[group] = str(node["name"]) if "name" in node else "+".join(map(str, node))
    keys = ["seed", "batch_size", "optimizer.learning_rate", "trainer.epochs"]
    keys += [item.partition("=")[0].lstrip("+~") for item in overrides]
    for key in keys:
        value: Any = config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if isinstance(value, str | int | float | bool):
            params[key] = value
    return params


class Tracker:
    """Tells the loggers of a run what there is to tell.

    Args:
        loggers: of the run; none for a worker beside a chief.
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
        """Starts the loggers, and ends them with how the work inside ended."""
        status: Status = "failed"
        reason = ""
        try:
            self.loggers.tell("start", self.run)
            if self.run is not None:
                self.loggers.tell("hparams", run_params(self.run.config, tuple(self.run.overrides)))
                self.loggers.tell("text", "config", _as_code((self.run.folder / "config.yaml").read_text(encoding="utf-8")))
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
        facts: dict[str, Any] = {"data_hash": table.data_hash, **table.summary()}
        self.loggers.tell("artifact", Artifact(table.name, "dataset", facts=facts, made=False))
        if self.run is not None:
            facts = {"split_hash": manifest.hash, "protocol": manifest.protocol, "leaky": manifest.leaky}
            self.loggers.tell("artifact", Artifact(f"{table.name}-split", "split", (self.run.folder / "split.csv",), facts))
        if source is not None:
            self.loggers.tell("artifact", Artifact(source, "model", made=False))
        if wanting := self.loggers.wanting("images"):
            cells, _ = data.training()
            rows = np.concatenate([_spread(np.flatnonzero(cells.labels == label), SAMPLES) for label in (1, 0)])
            captions = [f"{CLASS_NAMES[cells.labels[row]]}, patient {manifest.patient[cells.rows[row]]}" for row in rows]
            self.loggers.tell("images", "samples", cells.pixel_cache.take(cells.rows[rows]), captions, to=wanting)

    def training(self, length: RunLength, monitor: str, net: "keras.Model", batches: Batches) -> None:
        """Training is about to begin."""
        tell_made, wanting = self.loggers.tell_made, self.loggers.wanting
        self.loggers.tell("training", length, monitor)
        # On this thread: Keras keeps what a call leaves behind in the net itself, which another thread must not touch meanwhile.
        tell_made("graph", "the network's graph", lambda: (graph_def(net),), to=wanting("graph"))
        tell_made("artifact", "the artifact of the untrained model", lambda: self._untrained(net), to=wanting("untrained"))
        images = wanting("images")
        if images or wanting("gradients"):
            self._batch = tuple(part.numpy() for part in next(iter(batches.dataset())))
        if images and self._batch is not None:
            pictures, labels = self._batch[:2]
            shown = (pictures[:BATCH_SAMPLES] * 255).round().astype(np.uint8)
            self.loggers.tell("images", "augmented_batch", shown, [f"label {label:.2f}" for label in labels[:BATCH_SAMPLES, 0]], to=images)

    def _untrained(self, net: "keras.Model") -> tuple[Artifact]:
        if self.run is None:
            raise TypeError("Expected the facts of the run.")
        path = self.run.folder / UNTRAINED_FILE
        net.save(path)
        return (Artifact(self._model_name, "model", (path,), aliases=("untrained",)),)

    def step(self, step: int, values: Row) -> None:
        """A training step is done."""
        self.loggers.tell("scalars", "step", step, values, to=self.loggers.wanting("steps", step))

    def epoch(
        self,
        row: Row,
        val: Cells,
        logits: np.ndarray,
        net: "keras.Model",
        gradients: Callable[[tuple[np.ndarray, ...]], dict[str, np.ndarray]] | None = None,
    ) -> None:
        """An epoch is done, its validation too.

        Args:
            row: of history.csv.
            val: the validation cells.
            logits: theirs, (N,).
            net: with the weights that were validated.
            gradients: takes a training batch and returns the loss' gradients by name; None if they cannot be had.
        """
        number, tell, tell_made, wanting = int(row["epoch"]), self.loggers.tell, self.loggers.tell_made, self.loggers.wanting
        tell("scalars", "epoch", number, row)
        if figures := wanting("figures", number):
            labels, scores, plots = val.labels, sigmoid(logits), self._epoch_plots()
            tell("scores", "val", labels, scores, number, to=figures)
            for name, draw in {"val_confusion_matrix": plots.confusion_matrix, "val_roc": plots.roc}.items():
                tell_made("figure", f"the figure {name}", partial(_figure, name, draw, labels, scores, number), to=figures)
        weights = wanting("histograms", number)
        tell_made(
            "histograms", "histograms", lambda: (number, {f"weights/{item.path}": np.array(item) for item in net.weights}), to=weights
        )
        if gradients and (batch := self._batch) is not None:
            # Of some cells of a batch: a whole one would cost as much as a step.
            few = tuple(part[:BATCH_SAMPLES] for part in batch)
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
            part = result.predictions.select(subset)
            tell("scores", subset, part.label, part.score, None)
        for path in sorted((folder / "plots").glob("*.png")):
            tell("figure", path.stem, path.read_bytes(), None)
        if wanting := self.loggers.wanting("images"):
            tell("table", "predictions", predictions_table(result), to=wanting)
        tell("text", "results", results_text(metrics))
        tell("results", final_numbers(metrics))
        facts = {key: value for key, value in final_numbers(metrics).items() if key.count("/") == 1}
        model = Artifact(self._model_name, "model", (folder / MODEL_FILE, folder / "model.json"), facts, ("trained",))
        tell("artifact", model)
        files = ("report.html", "metrics.json", "predictions.csv", "config.yaml", "provenance.json")
        tell("artifact", Artifact("report", "report", tuple(folder / name for name in files)))


def _figure(
    name: str, draw: Callable[[np.ndarray, np.ndarray], bytes], labels: np.ndarray, scores: np.ndarray, epoch: int
) -> tuple[str, bytes, int]:
    return name, draw(labels, scores), epoch


def predictions_table(result: EvaluationResult) -> Table:
    """Returns some cells of the reported subset with their pictures: half of them the worst errors, the others evenly spread over it."""
    subset = reported_subset(result.metrics)
    shown = result.predictions.select(subset)
    cells = next(cells for cells in result.cells if cells.subset == subset)
    wrong = np.abs(shown.score - shown.label)
    worst = np.argsort(-wrong, kind="stable")[: TABLE_CELLS // 2]
    others = np.setdiff1d(_spread(np.arange(len(shown)), TABLE_CELLS // 2), worst)
    rows = np.concatenate([worst, others])
    columns = ("cell_id", "patient", "truth", "score", "error")
    values = [
        (
            str(shown.cell_id[row]),
            str(shown.patient[row]),
            CLASS_NAMES[shown.label[row]],
            float(shown.score[row]),
            float(wrong[row]),
        )
        for row in rows
    ]
    return Table(columns, values, cells.pixel_cache.take(cells.rows[rows]))


def final_numbers(metrics: Mapping[str, Any]) -> Row:
    """Returns the numbers of metrics.json by name: test/auc, test/auc_low, test/sensitivity, test/chosen/sensitivity ...

    Rates without a threshold's name are at .5. What is undefined is left out.
    """
    found: Row = {}

    def note(name: str, cell: Any) -> None:
        if isinstance(cell, Mapping):
            for key, ending in (("value", ""), ("low", "_low"), ("high", "_high")):
                note(name + ending, cell.get(key))
        elif isinstance(cell, int | float) and not isinstance(cell, bool):
            found[name] = float(cell)

    for subset, part in metrics["subsets"].items():
        for name, cell in part["ranking"].items():
            note(f"{subset}/{name}", cell)
        for threshold, cells in part["at"].items():
            for name, cell in cells.items():
                note(f"{subset}/{name}" if threshold == "half" else f"{subset}/{threshold}/{name}", cell)
    for name, value in metrics.get("training", {}).items():
        note(f"training/{name}", value)
    return found


def results_text(metrics: Mapping[str, Any]) -> str:
    """Returns the table of the reported subset in Markdown."""
    subset = reported_subset(metrics)
    part = metrics["subsets"][subset]
    lines = [f"| {subset}, threshold .5 | value | {metrics['interval']['confidence']:.0%} interval over patients |", "|---|---|---|"]
    for name, cell in {**part["ranking"], **part["at"]["half"]}.items():
        if isinstance(cell, Mapping) and cell["value"] is not None:
            interval = "" if cell["low"] is None else f"{cell['low']:.4f} to {cell['high']:.4f}"
            lines.append(f"| {name} | {cell['value']:.4f} | {interval} |")
    return "\n".join(lines)


def _spread(rows: np.ndarray, count: int) -> np.ndarray:
    """Returns up to so many of the rows, evenly spread over them: cells of one patient stand next to each other."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)] if len(rows) else rows


def _as_code(text: str) -> str:
    return "```yaml\n" + text + "\n```"
