"""Checkpoints on the disk: when they are due, and how they are written and read.

A checkpoint is a NumPy archive in the run's folder: every array by name, and one of JSON with everything else. ZIP keeps a checksum of
each, so that damage is noticed.
"""

import os
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from malaria_exp.config.durations import RunLength
from malaria_exp.config.run_files import RESUME, RESUME_FILES
from malaria_exp.training.checkpoint import Checkpoint
from malaria_exp.training.learning_rate_multiplier import steps_within
from malaria_exp.utils.atomic_files import write_atomically
from malaria_exp.utils.terminal_log import log

KEPT, FACTS = 2, "facts"
# With "auto": at the latest after so many seconds, and as long as writing takes at most this fraction of the time.
INTERVAL_SECONDS, TIME_FRACTION = 60.0, 0.01
# What reading a damaged archive raises.
DAMAGE = (OSError, ValueError, KeyError, TypeError, EOFError, MemoryError, RecursionError, NotImplementedError, zipfile.BadZipFile)


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

    def __init__(self, folder: Path, every: str | None, length: RunLength) -> None:
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

    def write(self, make: Callable[[], Checkpoint]) -> None:
        """Writes the checkpoint that `make` returns, on the disk when this returns, and deletes those before the last two."""
        began = time.perf_counter()
        checkpoint = make()
        self.folder.mkdir(exist_ok=True)
        arrays: dict[str, Any] = {FACTS: np.frombuffer(checkpoint.facts(), np.uint8), **checkpoint.arrays}

        def write(path: Path) -> None:
            with path.open("xb") as file:
                np.savez(file, **arrays)
                file.flush()
                os.fsync(file.fileno())

        write_atomically(self.folder / f"step-{checkpoint.progress.steps:09d}.npz", write)
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
        except DAMAGE as error:
            log.warning(f"resume    {path} is damaged and is passed over ({type(error).__name__}: {' '.join(str(error).split())[:200]})")
    return None


def _read(path: Path) -> Checkpoint:
    with zipfile.ZipFile(path) as archive:
        if (bad := archive.testzip()) is not None:
            raise ValueError(f"the checksum of {bad} is wrong")
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    return Checkpoint.from_facts(arrays.pop(FACTS).tobytes(), arrays)
