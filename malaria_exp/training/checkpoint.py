"""Checkpoints of a training in progress, from which a run that was cut off goes on.

A checkpoint is a NumPy archive in the run's folder: every array by name, and one named `facts` with plain values as JSON. ZIP keeps a
checksum of each, so that damage is noticed.
"""

import json
import os
import time
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from malaria_exp.config.durations import RunLength
from malaria_exp.config.run_files import RESUME, RESUME_FILES
from malaria_exp.training.learning_rate_multiplier import steps_within
from malaria_exp.utils.atomic_files import write_atomically
from malaria_exp.utils.errors import RunFolderError
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    import keras

KEPT, FACTS = 2, "facts"
# With "auto": at the latest after so many seconds, and as long as writing takes at most this fraction of the time.
INTERVAL_SECONDS, TIME_FRACTION = 60.0, 0.01

Every = Literal["auto"] | str | None


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A training at a step.

    Attributes:
        facts: plain values: epochs and steps done, history, and what else the session notes.
        arrays: by name.
    """

    facts: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]

    @property
    def epochs(self) -> int:
        """Epochs that are done."""
        return len(self.facts["history"])

    @property
    def steps(self) -> int:
        """Steps that are done, of the whole run."""
        return int(self.facts["steps"])

    def describe(self) -> str:
        """Returns where it stands, in words."""
        step = self.facts["step"]
        return f"epoch {self.epochs}" if not step else f"step {step:,} of epoch {self.epochs + 1}"

    def numbered(self, prefix: str) -> list[np.ndarray]:
        """Returns the arrays that `name_arrays` named with a prefix."""
        found: list[np.ndarray] = []
        while (array := self.arrays.get(f"{prefix}/{len(found)}")) is not None:
            found.append(array)
        return found


def name_arrays(prefix: str, arrays: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """Returns arrays by the names prefix/0, prefix/1 ..."""
    return {f"{prefix}/{number}": array for number, array in enumerate(arrays)}


def read_variables(variables: "Iterable[keras.Variable]") -> list[np.ndarray]:
    """Returns the values of variables; of one that tf.distribute keeps on several devices, the value on each."""
    return [one.numpy() for variable in variables for one in _on_devices(variable)]


def write_variables(variables: "Iterable[keras.Variable]", values: list[np.ndarray], what: str) -> None:
    """Gives variables the values that `read_variables` returned.

    Raises:
        RunFolderError: their number or shapes differ: the checkpoint is of another model.
    """
    held = [one for variable in variables for one in _on_devices(variable)]
    if [tuple(one.shape) for one in held] != [value.shape for value in values]:
        raise RunFolderError(f"run: the checkpoint does not fit: it holds {len(values)} arrays of {what}, and the run has {len(held)}.")
    for one, value in zip(held, values, strict=True):
        one.assign(value)


def _on_devices(variable: "keras.Variable") -> tuple[Any, ...]:
    value = variable.value
    return getattr(value, "values", None) or (value,)


class Checkpoints:
    """Writes a run's checkpoints when they are due, keeps the last two, and measures what writing costs.

    Args:
        folder: of the run.
        every: "auto": after each epoch, and each minute of a long one, as long as that takes at most 1 % of the time; a duration; None
            for never.
        length: of the run.

    Raises:
        ConfigError: the duration is longer than the run.
    """

    def __init__(self, folder: Path, every: Every, length: RunLength) -> None:
        self.folder, self.every = folder / RESUME, every
        self.interval = max(steps_within(length, "trainer.checkpoint", every), 1) if every not in (None, "auto") else None
        self.began = self.written = time.perf_counter()
        self.spent = self.last_cost = 0.0

    def due(self, steps: int, *, epoch_end: bool) -> bool:
        """Tells whether a checkpoint is to be written after so many steps of the run."""
        if self.every is None:
            return False
        if self.interval is not None:
            return steps % self.interval == 0
        now = time.perf_counter()
        affordable = self.spent + self.last_cost <= TIME_FRACTION * (now - self.began)
        return affordable and (epoch_end or now - self.written >= INTERVAL_SECONDS)

    def write(self, checkpoint: Checkpoint) -> None:
        """Writes a checkpoint, which is on the disk when this returns, and deletes those before the last two."""
        began = time.perf_counter()
        self.folder.mkdir(exist_ok=True)
        text = json.dumps(dict(checkpoint.facts)).encode()
        arrays: dict[str, Any] = {FACTS: np.frombuffer(text, np.uint8), **checkpoint.arrays}

        def write(path: Path) -> None:
            with path.open("xb") as file:
                np.savez(file, **arrays)
                file.flush()
                os.fsync(file.fileno())

        write_atomically(self.folder / f"step-{checkpoint.steps:09d}.npz", write)
        for old in _newest_first(self.folder)[KEPT:]:
            old.unlink(missing_ok=True)
        self.written = time.perf_counter()
        self.last_cost = self.written - began
        self.spent += self.last_cost


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob(RESUME_FILES), reverse=True)


def read_last(folder: Path) -> Checkpoint | None:
    """Returns the last checkpoint in a run's folder that is whole; None if there is none. A damaged one is named in a warning."""
    for path in _newest_first(folder / RESUME):
        try:
            return _read(path)
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            EOFError,
            MemoryError,
            RecursionError,
            NotImplementedError,
            zipfile.BadZipFile,
        ) as error:
            log.warning(f"resume    {path} is damaged and is passed over ({type(error).__name__}: {' '.join(str(error).split())[:200]})")
    return None


def _read(path: Path) -> Checkpoint:
    with zipfile.ZipFile(path) as archive:
        if (bad := archive.testzip()) is not None:
            raise ValueError(f"the checksum of {bad} is wrong")
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    facts = json.loads(arrays.pop(FACTS).tobytes())
    checkpoint = Checkpoint(facts, arrays)
    counts = [facts[name] for name in ("steps", "step", "stage", "stage_first", "best_epoch")]
    if not all(type(count) is int and count >= 0 for count in counts) or not all(isinstance(row, dict) for row in facts["history"]):
        raise ValueError("its facts are not those of a training")
    return checkpoint
