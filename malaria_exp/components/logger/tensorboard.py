"""Event files for TensorBoard, in the run's folder: tensorboard --logdir outputs shows every run.

They are written with TensorBoard's own writer, without TensorFlow, whose state the training thread uses at the same time. The session of
the HParams plugin has a folder of its own, results/, because the plugin shows every scalar in a session's folder as a column of its table.
"""

import io
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from malaria_exp.components.logger._picture_grid import captioned_grid, png_size, table_captions
from malaria_exp.config.registry import register
from malaria_exp.config.validation import Count
from malaria_exp.tracking.logger_interface import Axis, Kind, Logger, Position, Run, Status, Table
from malaria_exp.utils.atomic_files import write_bytes
from malaria_exp.utils.errors import ConfigError
from malaria_exp.utils.rows import Row
from malaria_exp.utils.tensorflow_setup import load_tensorflow

if TYPE_CHECKING:
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

FOLDER, RESULTS_FOLDER = "tensorboard", "results"
# What the table of runs shows.
METRICS = ("val/auc", "test/auc", "test/accuracy", "test/sensitivity", "test/specificity", "test/ppv", "training/train_seconds")
CURVE_POINTS, BUCKETS = 201, 30
FLUSH_SECONDS = 10


@register("logger", "tensorboard")
def tensorboard(
    *, steps: Count = 10, figures: Count = 1, histograms: Count = 1, gradients: Count = 1, images: bool = True, graph: bool = True
) -> Logger:
    """Writes event files for TensorBoard: scalars, pictures, histograms, PR curves, the graph, texts and HParams.

    Args:
        steps: scalars of every so many training steps; 0 for none.
        figures: confusion matrix, ROC and PR curve of the validation cells every so many epochs; 0 for none.
        histograms: of the weights, every so many epochs; 0 for none.
        gradients: histograms of the gradients of 32 training cells, every so many epochs; 0 for none.
        images: sample cells, a batch after augmentation, and predictions with their pictures.
        graph: the model's graph.
    """
    if not find_spec("tensorboard"):
        raise ConfigError("logger.tensorboard: the package tensorboard is not installed. Install it: pip install tensorboard")
    # TensorBoard imports TensorFlow when it writes its first event. If two threads import it at once, they lock each other out.
    load_tensorflow()
    return TensorBoardLogger(steps, figures, histograms, gradients, images=images, graph=graph)


class TensorBoardLogger(Logger):
    """Writes on a thread of its own.

    Args:
        steps, figures, histograms, gradients, images, graph: see `tensorboard`.
    """

    patience = 60.0
    writer: "EventFileWriter"

    def __init__(self, steps: int, figures: int, histograms: int, gradients: int, *, images: bool, graph: bool) -> None:
        once: dict[Kind, int] = {"images": int(images), "graph": int(graph)}
        self.wants = {"steps": steps, "figures": figures, "histograms": histograms, "gradients": gradients, **once}
        self.last_epoch = 0
        self.session: EventFileWriter | None = None

    def start(self, run: Run) -> None:
        """Opens the event file; of a run that goes on, it keeps what came before."""
        self.run = run
        if run.resumed is not None:
            self.last_epoch = run.resumed.epoch
            for folder in (FOLDER, f"{FOLDER}/{RESULTS_FOLDER}"):
                _keep_until(run.resumed, sorted((run.folder / folder).glob("events.out.tfevents.*")))
            if run.resumed.step:
                self.session = self._open(run.folder / FOLDER / RESULTS_FOLDER)
        self.writer = self._open(run.folder / FOLDER)

    def _open(self, folder: Path) -> "EventFileWriter":
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        # Made first: TensorBoard's writer would start its thread and only then find that it cannot write.
        folder.mkdir(parents=True, exist_ok=True)
        return EventFileWriter(str(folder), flush_secs=FLUSH_SECONDS)

    def _write(self, writer: "EventFileWriter", step: int = 0, **content: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        writer.add_event(Event(wall_time=time.time(), step=step, **content))

    def _check_files(self) -> None:
        """Raises a FileNotFoundError if the event file was removed, which TensorBoard's writer does not notice."""
        self.writer.flush()
        if not any((self.run.folder / FOLDER).glob("events.out.tfevents.*")):
            raise FileNotFoundError(f"the event file in {self.run.folder / FOLDER} has vanished")

    def scalars(self, axis: Axis, number: int, values: Row) -> None:
        """Writes step/... at the training's step, epoch/... at the epoch."""
        from tensorboard.plugins.scalar.summary_v2 import scalar_pb

        for name, value in values.items():
            if name != "epoch":
                self._write(self.writer, number, summary=scalar_pb(f"{axis}/{name}", value))
        if axis == "epoch":
            self.last_epoch = number
            self._check_files()

    def settle(self) -> None:
        """Writes what the writers still hold back."""
        self.writer.flush()
        if self.session is not None:
            self.session.flush()

    def images(self, name: str, images: np.ndarray, captions: Sequence[str]) -> None:
        """Writes them as one captioned picture."""
        self._picture(name, captioned_grid(images, captions), 0)

    def figure(self, name: str, png: bytes, epoch: int | None) -> None:
        """Writes it; those of the finished run stand under results/."""
        self._picture(name if epoch is not None else f"results/{name}", png, self.last_epoch if epoch is None else epoch)

    def _picture(self, tag: str, png: bytes, step: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
        from tensorboard.compat.proto.types_pb2 import DT_STRING
        from tensorboard.plugins.image.metadata import create_summary_metadata

        # As the plugin keeps pictures: width, height, and the PNG as it is.
        parts = [*(str(size).encode() for size in png_size(png)), png]
        shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=len(parts))])
        metadata = create_summary_metadata(display_name=None, description="", converted_to_tensor=True)
        tensor = TensorProto(dtype=DT_STRING, tensor_shape=shape, string_val=parts)
        self._write(self.writer, step, summary=Summary(value=[Summary.Value(tag=tag, tensor=tensor, metadata=metadata)]))

    def histograms(self, epoch: int, values: Mapping[str, np.ndarray]) -> None:
        """Writes them at the epoch."""
        for name, numbers in values.items():
            if numbers.size and np.isfinite(numbers).all():
                self._write(self.writer, epoch, summary=_histogram(name, numbers))

    def scores(self, subset: str, labels: np.ndarray, scores: np.ndarray, epoch: int | None) -> None:
        """Writes the PR curve."""
        from tensorboard.plugins.pr_curve.summary import pb

        tag = f"{subset}_pr_curve" if epoch is not None else f"results/{subset}_pr_curve"
        curve = _as_tensorboards(pb(tag, labels.astype(bool), scores, num_thresholds=CURVE_POINTS))
        curve.value[0].tag = tag
        self._write(self.writer, self.last_epoch if epoch is None else epoch, summary=curve)

    def table(self, name: str, table: Table) -> None:
        """Writes the pictures with their rows as captions, and the rows as a text."""
        lines = ["| " + " | ".join(table.columns) + " |", "|---" * len(table.columns) + "|"]
        shown = [tuple(f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in row) for row in table.rows]
        lines += ["| " + " | ".join(row) + " |" for row in shown]
        self.text(name, "\n".join(lines))
        if table.images is not None:
            self._picture(f"{name}_pictures", captioned_grid(table.images, table_captions(table)), self.last_epoch)

    def text(self, name: str, markdown: str) -> None:
        """Writes it."""
        from tensorboard.plugins.text.summary_v2 import text_pb

        self._write(self.writer, self.last_epoch, summary=text_pb(name, markdown))

    def graph(self, graph_def: bytes) -> None:
        """Writes it."""
        self._write(self.writer, graph_def=graph_def)

    def hparams(self, params: Mapping[str, str | int | float | bool]) -> None:
        """Begins a session of the HParams plugin."""
        from tensorboard.plugins.hparams.summary import session_start_pb

        self.session = self._open(self.run.folder / FOLDER / RESULTS_FOLDER)
        # The table sorts by these values, so each name has one type over all runs: whole numbers become floats.
        plain = {name: float(value) if isinstance(value, int) and not isinstance(value, bool) else value for name, value in params.items()}
        started = session_start_pb(plain, group_name=self.run.name, start_time_secs=time.time())
        self._write(self.session, summary=_as_tensorboards(started))

    def results(self, values: Row) -> None:
        """Writes all of them as scalars, and those of the table of runs into the session."""
        from tensorboard.plugins.scalar.summary_v2 import scalar_pb

        for name, value in values.items():
            self._write(self.writer, self.last_epoch, summary=scalar_pb(f"results/{name}", value))
        for name in METRICS:
            if name in values and self.session is not None:
                self._write(self.session, self.last_epoch, summary=scalar_pb(name, values[name]))

    def finish(self, status: Status, reason: str) -> None:
        """Ends the session and closes the files."""
        from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS
        from tensorboard.plugins.hparams.summary import session_end_pb

        if reason:
            self.text("reason", reason)
        if self.session is not None:
            ended = session_end_pb(STATUS_SUCCESS if status == "done" else STATUS_FAILURE, end_time_secs=time.time())
            self._write(self.session, summary=_as_tensorboards(ended))
            self.session.close()
        self._check_files()
        self.writer.close()


def read_events(files: Iterable[Path]) -> Iterator[Any]:
    """Yields the events of event files one after another, as TensorBoard's messages; a record that was written in part ends its file."""
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event

    for file in files:
        yield from map(Event.FromString, RawEventFileLoader(str(file)).Load())


def _keep_until(position: Position, files: list[Path]) -> None:
    """Keeps of a run that was cut off the events up to where it goes on, all in its first file."""
    from tensorboard.summary.writer.record_writer import RecordWriter

    kept = io.BytesIO()
    records = RecordWriter(kept)
    for event in read_events(files) if position.step else ():
        if _beyond(position, event):
            break
        records.write(event.SerializeToString())
    for file in files[1:]:
        file.unlink()
    if files:
        write_bytes(files[0], kept.getvalue())


def _beyond(position: Position, event: Any) -> bool:
    """Tells whether an event comes after where a run goes on."""
    for value in event.summary.value:
        if value.tag.startswith(("results", "reason", "_hparams_/session_end", *METRICS)):
            return True
        return not position.reaches("step" if value.tag.startswith("step/") else "epoch", event.step)
    return False


def _histogram(tag: str, numbers: np.ndarray) -> Any:
    """Returns what TensorBoard's histogram_pb returns, which takes twenty times as long, as it compares every number with every bucket."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.histogram.metadata import create_summary_metadata
    from tensorboard.util.tensor_util import make_tensor_proto

    low, high = float(numbers.min()), float(numbers.max())
    if low == high:
        # As the plugin wants it: buckets without a width, all numbers in the last.
        buckets = np.array([[low, high, 0.0]] * BUCKETS)
        buckets[-1, 2] = numbers.size
    else:
        # As float64: between two neighbors of float32 there is no room for many bins, which NumPy refuses.
        counts, edges = np.histogram(numbers.astype(np.float64), bins=BUCKETS)
        buckets = np.stack([edges[:-1], edges[1:], counts], axis=1)
    metadata = create_summary_metadata(display_name=None, description="")
    return Summary(value=[Summary.Value(tag=tag, metadata=metadata, tensor=make_tensor_proto(buckets, dtype=np.float64))])


def _as_tensorboards(summary: Any) -> Any:
    """Returns a summary as TensorBoard's own message; some of its functions return TensorFlow's, which has the same bytes."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    return summary if isinstance(summary, Summary) else Summary.FromString(summary.SerializeToString())
