"""What a logger costs a training: the time of a step with it against none, and the work it makes.

    python benchmarks/loggers.py [cell_images.zip] [--docs docs] [--rounds 6] [--epochs 2] [--steps N] [--only none csv]

One training of cellnet as it is by default (64 px, batches of 128, whole epochs with their validation, the precision that trainer.precision=auto
chooses), in which the loggers take turns: each is begun, hears an epoch that is not counted, then --epochs that are, and is finished. The order
is another in every round, and none comes again after every second logger. Told are two things:

- the time of an epoch over its steps, everything included, set against that of the turns of none before and after it: what one would see on a
  clock, with the noise of the machine in it;
- the work: how long the training's own thread was held up by what is told to the logger, and how much processor time the other Python threads
  and the processes of the logger took. With each core busy training, the sum is the most that the logger can cost, and it is nearly free of noise.

`scalars` switches off all that is not a number; `default` is as in conf/logger, with pictures, figures and histograms; `finish` is the time that
the logger takes afterwards, once a run. console draws its bar to a terminal that is not there. wandb runs offline, mlflow on a SQLite store.
Loggers whose package is missing are left out. With --docs, writes the table of docs/tracking-costs.md. On synthetic cells without a zip.
"""

import argparse
import os
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from malaria_exp.components.logger import console as console_logger
from malaria_exp.config.registry import build, check_params
from malaria_exp.data.augmentation_chain import Chain
from malaria_exp.data.batches import TrainingBatches
from malaria_exp.data.pixel_cache import open_pixel_cache
from malaria_exp.data.resize import ResizeRule
from malaria_exp.data.subsets import Data
from malaria_exp.tracking.logger_interface import Run
from malaria_exp.tracking.logger_queue import Loggers
from malaria_exp.tracking.tracker import Tracker
from malaria_exp.training.trainer_interface import Trained, TrainerInputs
from malaria_exp.utils import progress_bars, terminal_log
from malaria_exp.utils.atomic_files import write_between
from malaria_exp.utils.machine import machine
from malaria_exp.utils.tensorflow_setup import load_tensorflow

BATCH, IMAGE_SIZE = 128, 64
CACHE = Path(tempfile.gettempdir()) / "malaria_exp_benchmark"
NONE, NONE_AFTER = "none", 2
WORK = ("held", "elsewhere")
# What is no number, and how it is switched off.
EXTRAS = {"figures": 0, "histograms": 0, "gradients": 0, "images": False, "graph": False, "untrained": False, "models": False}


def sides() -> dict[str, tuple[str, dict[str, Any]]]:
    """Returns {side: (logger, its parameters)}."""
    found: dict[str, tuple[str, dict[str, Any]]] = {NONE: ("", {})}
    given: dict[str, Any]
    for name, given in (
        ("console", {"mode": "rich"}),
        ("console", {"mode": "plain"}),
        ("csv", {}),
        ("jsonl", {}),
        ("tensorboard", {}),
        ("wandb", {"mode": "offline"}),
        ("mlflow", {}),
    ):
        if name in ("tensorboard", "wandb", "mlflow") and not find_spec(name):
            continue
        keys = check_params("logger", name, given)
        off = {key: value for key, value in EXTRAS.items() if key in keys}
        if off:
            found[f"{name}, scalars"] = (name, given | off)
        found[f"{name}, default" if off else f"{name}, {given['mode']}" if "mode" in given else name] = (name, given)
    return found


def plan(names: list[str], rounds: int) -> list[str]:
    """Returns whose turn it is, one after the other; each other side stands between two turns of none, or near them."""
    turns = [NONE]
    for number in range(rounds):
        others = [name for name in names if name != NONE]
        random.Random(number).shuffle(others)
        for place, name in enumerate(others, start=1):
            turns += [name, NONE] if place % NONE_AFTER == 0 or place == len(others) else [name]
    return turns


@dataclass
class Turn:
    """What was measured while one side had its turn: seconds a step of an epoch, held up, and of work elsewhere; and of finishing."""

    side: str
    step: list[float] = field(default_factory=list)
    held: list[float] = field(default_factory=list)
    elsewhere: list[float] = field(default_factory=list)
    finish: float = 0.0


class TurnsTracker(Tracker):
    """A tracker that hands what it is told to the loggers whose turn it is, and measures.

    Args:
        turns: the sides, in order.
        epochs: counted of each turn; one more comes before them.
        folder: in which each turn gets one of its own.
    """

    def __init__(self, turns: list[str], epochs: int, folder: Path) -> None:
        super().__init__(Loggers({}))
        self.todo, self.epochs, self.folder, self.sides = turns, epochs, folder, sides()
        self.done: list[Turn] = []
        self.seen, self.mark, self.held, self.elsewhere = 0, 0.0, 0.0, 0.0

    def training(self, *about: Any) -> None:
        """Begins the first turn."""
        self.about = about
        self._begin()

    def step(self, *about: Any) -> None:
        """Hands it on."""
        began = time.perf_counter()
        self.now.step(*about)
        self.held += time.perf_counter() - began

    def epoch(self, *about: Any) -> None:
        """Hands it on; after the turn's last epoch the next turn begins."""
        began = time.perf_counter()
        self.now.epoch(*about)
        ended, elsewhere = time.perf_counter(), cpu_elsewhere()
        self.held += ended - began
        steps = self.about[0].steps_per_epoch
        if self.seen:
            self.turn.step.append((ended - self.mark) / steps)
            self.turn.held.append(self.held / steps)
            self.turn.elsewhere.append(max(elsewhere - self.elsewhere, 0.0) / steps)
        self.seen += 1
        self.mark, self.held, self.elsewhere = ended, 0.0, elsewhere
        if self.seen > self.epochs:
            self._end()

    def _begin(self) -> None:
        self.turn = Turn(self.todo[len(self.done)])
        logger, params = self.sides[self.turn.side]
        folder = self.folder / "outputs" / f"{len(self.done)}"
        folder.mkdir(parents=True)
        facts = Run(folder, folder.name, None, "train", {"model": {"name": "cellnet"}})
        self.now = Tracker(Loggers({logger: build("logger", logger, params)} if logger else {}), facts)
        self.now.loggers.tell("start", facts)
        self.now.loggers.tell("hparams", {"model": "cellnet"})
        self.now.training(*self.about)
        self.seen, self.held = 0, 0.0

    def _end(self) -> None:
        began = time.perf_counter()
        active = self.now.loggers.active
        self.now.loggers.finish("done")
        self.turn.finish = time.perf_counter() - began
        if self.now.loggers.active != active or len(active) != (self.turn.side != NONE):
            raise SystemExit(f"{self.turn.side} failed; its time says nothing")
        self.done.append(self.turn)
        print(
            f"{len(self.done)} of {len(self.todo)}: {self.turn.side}, {1e3 * statistics.median(self.turn.step):.2f} ms a step", flush=True
        )
        if len(self.done) < len(self.todo):
            self._begin()


def cpu_elsewhere() -> float:
    """Returns the processor seconds so far of this process' Python threads but the calling one, and of the processes below it.

    TensorFlow's threads are none of Python's. On Linux; elsewhere 0.
    """
    if not Path("/proc/self/stat").exists():
        return 0.0
    seconds = 0.0
    for thread in threading.enumerate():
        if thread is threading.current_thread():
            continue
        try:
            # A thread may have ended since it was listed; the clock of an ended thread is no error but undefined.
            nanoseconds = Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text(encoding="utf-8").split()[0]
        except OSError:
            continue
        seconds += int(nanoseconds) / 1e9
    found: dict[int, tuple[int, int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            # It has ended meanwhile.
            continue
        found[int(path.parent.name)] = int(fields[1]), int(fields[11]) + int(fields[12])
    below = {os.getpid()}
    for _ in found:
        more = {pid for pid, (parent, _) in found.items() if parent in below} - below
        if not more:
            break
        below |= more
    ticks = sum(found[pid][1] for pid in below - {os.getpid()})
    return seconds + ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def silent_terminal() -> Iterator[None]:
    """The console prints to a terminal of 120 columns that nobody sees."""
    from rich.console import Console

    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        terminal = Console(file=nowhere, force_terminal=True, width=120, highlight=False)
        places = ((progress_bars, "console"), (terminal_log, "console"), (console_logger, "terminal"))
        before = [(module, name, getattr(module, name)) for module, name in places]
        for module, name, _ in before:
            setattr(module, name, lambda: terminal)
        try:
            yield
        finally:
            for module, name, value in before:
                setattr(module, name, value)


def measure(archive: str | None, turns: list[str], epochs: int, steps: int | None) -> tuple[list[Turn], Trained, int]:
    """Trains once with all turns; returns what was measured, the training, and the steps of an epoch."""
    table = build("dataset", "nih", {"path": archive}) if archive else build("dataset", "synthetic", {})
    manifest = build("split", "patient_holdout", {}, table)
    cells, val = Data(manifest, open_pixel_cache(table, ResizeRule(IMAGE_SIZE, "pad"), CACHE)).training()
    batches = TrainingBatches(cells, batch_size=BATCH, chain=Chain([build("aug", "dihedral", {})]), seed=0, resident_gb=4)
    batches.length = replace(batches.length, steps_per_epoch=min(batches.steps_per_epoch, steps or batches.steps_per_epoch))
    trainer = build("trainer", "fit", {"epochs": len(turns) * (epochs + 1), "checkpoint": None})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary, silent_terminal():
        tracker = TurnsTracker(turns, epochs, Path(temporary))
        parts = TrainerInputs(
            build_model=lambda: build("model", "cellnet", {"image_size": IMAGE_SIZE}),
            loss=build("loss", "bce", {}),
            build_multiplier=lambda length: build("schedule", "cosine", {}, length),
            build_optimizer=lambda factor: build("optimizer", "adamw", {}, factor),
            batches=batches,
            val=val,
            tracker=tracker,
            folder=Path(temporary),
            seed=0,
            eval_batch_size=256,
            identity="benchmark of loggers",
            cache=CACHE,
            build_metrics=lambda: [build("metric", "accuracy", {})],
            build_callbacks=lambda course: [build("callback", "nan_guard", {}, course)],
        )
        trained = trainer.train(parts)
    return tracker.done, trained, batches.steps_per_epoch


def describe(turns: list[Turn], precision: str, steps: int) -> str:
    """Returns the table in Markdown: medians, and the middle half of what was seen in parentheses."""
    facts = machine()
    bare = [(place, statistics.median(turn.step)) for place, turn in enumerate(turns) if turn.side == NONE]
    none = 1e3 * statistics.median(value for _, value in bare)
    held, elsewhere = (statistics.median(value for turn in turns if turn.side == NONE for value in getattr(turn, name)) for name in WORK)
    lines = [
        f"{facts['processor']}, {facts['cores']} cores, {precision}; {steps} steps an epoch. A step without any logger took"
        f" {spread([1e3 * value for _, value in bare], '.1f')} ms, its part of the validation included.",
        "",
        "| logger | on the clock, % | work, ms a step: training's thread | elsewhere | together, % | finish, s |",
        "|---|---|---|---|---|---|",
    ]
    seen = {turn.side for turn in turns}
    for side in (side for side in sides() if side in seen and side != NONE):
        own = [(place, turn) for place, turn in enumerate(turns) if turn.side == side]
        costs = []
        for place, turn in own:
            beside = float(np.interp(place, [at for at, _ in bare], [value for _, value in bare]))
            costs.append(100 * (statistics.median(turn.step) / beside - 1))
        here = 1e3 * (statistics.median(value for _, turn in own for value in turn.held) - held)
        there = 1e3 * (statistics.median(value for _, turn in own for value in turn.elsewhere) - elsewhere)
        finish = statistics.median(turn.finish for _, turn in own)
        work = f"{max(here, 0):.2f} | {max(there, 0):.2f} | {100 * max(here + there, 0) / none:.1f}"
        lines.append(f"| {side} | {spread(costs, '+.1f')} | {work} | {finish:.2f} |")
    return "\n".join(lines)


def spread(values: list[float], form: str) -> str:
    """Returns the median, and where the middle half lies."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def main() -> None:
    """Measures, prints, and writes where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", nargs="?", help="the NIH zip; synthetic cells without it")
    parser.add_argument("--docs", type=Path, help="folder with tracking-costs.md")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=2, help="counted of each turn")
    parser.add_argument("--steps", type=int, help="in an epoch; a whole one without it")
    parser.add_argument("--only", nargs="+", choices=sorted(sides()), help="sides to measure")
    asked = parser.parse_args()
    load_tensorflow()
    turns, trained, steps = measure(asked.archive, plan(asked.only or list(sides()), asked.rounds), asked.epochs, asked.steps)
    text = describe(turns, trained.precision, steps)
    print(text)
    if asked.docs:
        write_between(asked.docs / "tracking-costs.md", "cost", text)


if __name__ == "__main__":
    main()
