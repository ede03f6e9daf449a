"""The protocol of loggers: what a logger is told of a run, and in which order.

First start, then hparams, artifact, images, text and graph as they are made; scalars at every step and epoch; figures, scores and
histograms at the end of epochs; after training scores, figures, table, results and artifact; finish last, whatever happened.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from malaria_exp.config.durations import RunLength
from malaria_exp.utils.rows import Row

Axis = Literal["step", "epoch"]
Kind = Literal["steps", "figures", "histograms", "gradients", "images", "graph", "untrained"]
Status = Literal["done", "failed", "interrupted"]


@dataclass(frozen=True)
class Position:
    """Where a run goes on that was cut off.

    Attributes:
        epoch: epochs that are done; 0 if the run begins anew in its folder.
        step: steps that are done, of the whole run.
    """

    epoch: int = 0
    step: int = 0

    def reaches(self, axis: Axis, number: int) -> bool:
        """Tells whether a step or an epoch is done."""
        return number <= (self.step if axis == "step" else self.epoch)


@dataclass(frozen=True)
class Run:
    """The facts of a run that loggers begin with; secrets are replaced by *** in all of them.

    Attributes:
        folder: the run's folder.
        name: of the run, unique beside its siblings.
        group: name of the multirun that it is a job of; None for a run by itself.
        job: what the run is within its group: "train", or the fold of a cross-validation.
        config: the composed configuration as nested plain values.
        overrides: what the user typed.
        resumed: where the run goes on, if it was cut off before. What a logger has kept of later steps comes once more, with the same values;
            of what came before the first step, nothing comes again if `resumed.step` is not 0.
        started: when it began, in seconds since 1970.
    """

    folder: Path
    name: str
    group: str | None
    job: str
    config: Mapping[str, Any]
    overrides: Sequence[str] = ()
    resumed: Position | None = None
    started: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Artifact:
    """Something that a run read or made, for tools that keep track of where things come from.

    Attributes:
        name: the same in every run that reads or makes the same thing.
        kind: "dataset", "split", "sample", "model" or "report".
        files: its files; empty if only its hash is recorded.
        facts: plain values that describe it, among them its hash.
        aliases: names of this version, such as "trained".
        made: whether this run made it, rather than read it.
    """

    name: str
    kind: str
    files: tuple[Path, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    made: bool = True


@dataclass(frozen=True)
class Table:
    """A table with pictures.

    Attributes:
        columns: their names.
        rows: a tuple a row, of texts and numbers.
        images: uint8 (N, size, size, 3), one a row, or None.
    """

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    images: np.ndarray | None = None


class Logger:
    """What a logger is told; a logger overrides the methods that it needs.

    Attributes:
        wants: {kind: how often}: scalars of every so many "steps"; "figures", "histograms" and "gradients" of every so many epochs;
            "images", the "graph" and the "untrained" model once, if not 0. What no logger wants is not made.
        patience: None if all methods return at once; they are then called on the training thread. Otherwise they are called in order on a
            thread of the logger's own, so that training never waits for the logger; after the run it gets this many seconds to finish.
        has: what a server or a store already has of a run that goes on; scalars, figures, scores and histograms up to there are not told again.
    """

    wants: Mapping[Kind, int] = MappingProxyType({})
    patience: float | None = None
    has: Position = Position()

    def start(self, run: Run) -> None:
        """The run has begun."""

    def training(self, length: RunLength, monitor: str) -> None:
        """Training is about to begin; `monitor` chooses the best epoch."""

    def scalars(self, axis: Axis, number: int, values: Row) -> None:
        """A step or an epoch is done; both are counted from 1 over the whole run.

        Of a step, `values` are the running means of the loss and the metrics over the epoch so far; of an epoch, the row of
        history.csv: loss, val_auc, learning_rate, cells_per_second, seconds and others.
        """

    def images(self, name: str, images: np.ndarray, captions: Sequence[str]) -> None:
        """Pictures of cells, uint8 (N, size, size, 3), with a caption each."""

    def figure(self, name: str, png: bytes, epoch: int | None) -> None:
        """A plot as PNG, of an epoch, or of the finished run (None)."""

    def histograms(self, epoch: int, values: Mapping[str, np.ndarray]) -> None:
        """Arrays to show as histograms, by name: weights/..., gradients/..."""

    def scores(self, subset: str, labels: np.ndarray, scores: np.ndarray, epoch: int | None) -> None:
        """Labels (N,), 1 = parasitized, and scores (N,) in [0, 1] of a whole subset, at an epoch or by the finished model (None)."""

    def table(self, name: str, table: Table) -> None:
        """A table of cells."""

    def text(self, name: str, markdown: str) -> None:
        """A text in Markdown."""

    def graph(self, graph_def: bytes) -> None:
        """The model's operations as a serialized GraphDef."""

    def hparams(self, params: Mapping[str, str | int | float | bool]) -> None:
        """What tells this run from others: its options, and every value that was set on the command line."""

    def results(self, values: Row) -> None:
        """The final numbers: test/auc, test/auc_low, val/sensitivity ...; what is undefined is left out."""

    def artifact(self, artifact: Artifact) -> None:
        """Something was read or made."""

    def settle(self) -> None:
        """A checkpoint of the training will be written: what was told so far is to outlive the process."""

    def finish(self, status: Status, reason: str) -> None:
        """The run is over. Called once, whatever happened; `reason` is empty for "done".

        A logger that was dropped before is told "failed" at a run that is done, as what it has is not all; the reason says so.
        """
