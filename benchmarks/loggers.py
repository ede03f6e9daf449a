"""What a logger costs a training: milliseconds a step, and percent of a step of cellnet; all loggers take turns in one process.

    python benchmarks/loggers.py [cell_images.zip] [--docs docs] [--rounds 5] [--steps 80]

What a logger costs is the same whatever the net, and lost in the noise of a large one's steps: so a tiny net at 32 px is trained with each, and
the difference to none is set against a step of cellnet at 64 px, measured in the same rounds. Each side trains two epochs; counted is the wall
time from the beginning of the second to its end, its validation of 512 cells and everything the logger is told in it included, over the
steps. The threads of loggers work beside the training and take its cores, so their work counts. `scalars`
switches off all that is not a number; `default` is as in conf/logger, where pictures, figures and histograms are made; `finish` is the time
that the logger takes afterwards, once a run. wandb runs offline, mlflow on a SQLite store. Loggers whose package is missing are left out.
With --docs, writes the table of docs/tracking.md. On drawn cells without a zip.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from malaria_exp import provenance
from malaria_exp.augmenting import Chain
from malaria_exp.batches import Cells, Data, TrainingBatches
from malaria_exp.files import write_between
from malaria_exp.images import ResizeRule
from malaria_exp.logger._base import Run
from malaria_exp.logger._loggers import Loggers
from malaria_exp.registry import build, check_params
from malaria_exp.store import open_store
from malaria_exp.tensorflow_setup import load_tensorflow
from malaria_exp.tracking import Tracker
from malaria_exp.trainer._base import Parts

BATCH, VALIDATION, CELLNET_STEPS = 128, 512, 12
TINY = {"image_size": 32, "stem": 4, "widths": [8]}
CELLNET = {"image_size": 64}
CACHE = Path(tempfile.gettempdir()) / "malaria_exp_benchmark"
NONE, REFERENCE = "none", "cellnet at 64 px, none"
# What is no number, and how it is switched off.
EXTRAS = {"figures": 0, "histograms": 0, "gradients": 0, "images": False, "graph": False, "untrained": False, "models": False}
Measured = dict[str, dict[str, list[float]]]


def sides() -> dict[str, tuple[str, dict[str, Any]]]:
    """Returns {side: (logger, its parameters)}."""
    found: dict[str, tuple[str, dict[str, Any]]] = {NONE: ("", {})}
    for name in ("console", "csv", "jsonl", "tensorboard", "wandb", "mlflow"):
        if name in ("tensorboard", "wandb", "mlflow") and not find_spec(name):
            continue
        given = {"wandb": {"mode": "offline"}}.get(name, {})
        keys = check_params("logger", name, given)
        off = {key: value for key, value in EXTRAS.items() if key in keys}
        if off:
            found[f"{name}, scalars"] = (name, given | off)
        found[f"{name}, default" if off else name] = (name, given)
    return found


def main() -> None:
    """Measures, prints, and writes where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", nargs="?", help="the NIH zip; drawn cells without it")
    parser.add_argument("--docs", type=Path, help="folder with tracking.md")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=80, help="in an epoch")
    asked = parser.parse_args()
    load_tensorflow()
    table = build("dataset", "nih", {"path": asked.archive}) if asked.archive else build("dataset", "synthetic", {})
    manifest = build("split", "patient_holdout", {}, table)
    asked.steps = min(asked.steps, len(manifest.rows("train")) // BATCH)

    def training(logger: str, params: dict[str, Any], model: dict[str, Any], steps: int) -> Callable[[], tuple[float, float]]:
        cells, val = Data(manifest, open_store(table, ResizeRule(model["image_size"], "pad"), CACHE)).training()
        few = Cells(val.subset, val.rows[:VALIDATION], val.labels[:VALIDATION], val.store)
        return one_training(logger, params, model, cells, few, steps)

    runs = {name: training(logger, params, TINY, asked.steps) for name, (logger, params) in sides().items()}
    runs[REFERENCE] = training("", {}, CELLNET, CELLNET_STEPS)
    measured: Measured = {name: {"step": [], "finish": []} for name in runs}
    for number in range(asked.rounds + 1):
        for name, run in runs.items():
            seconds, finish = run()
            # The first round warms up: imports, threads, the stores' tables.
            if number:
                measured[name]["step"].append(seconds / (CELLNET_STEPS if name == REFERENCE else asked.steps))
                measured[name]["finish"].append(finish)
        print(f"round {number} of {asked.rounds}", flush=True)
    text = describe(measured, asked.steps)
    print(text)
    if asked.docs:
        write_between(asked.docs / "tracking.md", "cost", text)


def one_training(
    logger: str, params: dict[str, Any], model: dict[str, Any], cells: Cells, val: Cells, steps: int
) -> Callable[[], tuple[float, float]]:
    """Returns a function that trains two epochs, and returns the seconds of the second and those of finishing the logger."""
    import keras

    batches = TrainingBatches(cells, batch_size=BATCH, chain=Chain([build("aug", "dihedral", {})]), seed=0, resident_gb=4)
    batches.steps_per_epoch = steps

    def run() -> tuple[float, float]:
        began: list[float] = []
        ended: list[float] = []

        class Clock(keras.callbacks.Callback):
            """Notes when epochs begin."""

            def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
                began.append(time.perf_counter())

            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                # The loggers have been told before the callbacks are.
                ended.append(time.perf_counter())

        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
            folder = Path(temporary) / "outputs" / "run"
            folder.mkdir(parents=True)
            facts = Run(folder, "benchmark", None, "train", {"model": {"name": "cellnet"}})
            tracker = Tracker(Loggers({logger: build("logger", logger, params)} if logger else {}), facts)
            tracker.loggers.tell("start", facts)
            tracker.loggers.tell("hparams", {"model": "cellnet"})
            parts = Parts(
                build_model=lambda: build("model", "cellnet", model),
                loss=build("loss", "bce", {}),
                build_factor=lambda length: build("schedule", "cosine", {}, length),
                build_optimizer=lambda factor: build("optimizer", "adamw", {}, factor),
                batches=batches,
                val=val,
                tracker=tracker,
                folder=folder,
                seed=0,
                eval_batch_size=256,
                identity="benchmark",
                cache=CACHE,
                build_metrics=lambda: [build("metric", "accuracy", {})],
                build_callbacks=lambda _: [Clock()],
            )
            build("trainer", "fit", {"epochs": 2, "checkpoint": False, "precision": "float32"}).train(parts)
            before = time.perf_counter()
            tracker.loggers.finish("done")
            finish = time.perf_counter() - before
        if logger and logger not in tracker.loggers.active:
            raise SystemExit(f"{logger} failed; its time says nothing")
        return ended[1] - began[1], finish

    return run


def describe(measured: Measured, steps: int) -> str:
    """Returns the table in Markdown: medians, smallest to largest; costs are differences to none within a round."""
    machine = provenance.machine()
    reference = 1e3 * statistics.median(measured[REFERENCE]["step"])
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, float32; {steps} steps an epoch, {len(measured[NONE]['step'])} rounds."
        f" A step of cellnet at 64 px took {spread([1e3 * value for value in measured[REFERENCE]['step']])} ms.",
        "",
        "| logger | ms a step of the tiny net | cost, ms a step | of cellnet's step | finish, s |",
        "|---|---|---|---|---|",
    ]
    for name, values in measured.items():
        if name == REFERENCE:
            continue
        step = [1e3 * value for value in values["step"]]
        costs = [own - 1e3 * other for own, other in zip(step, measured[NONE]["step"], strict=True)]
        cost, part = ("", "") if name == NONE else (spread(costs), f"{100 * statistics.median(costs) / reference:+.1f} %")
        lines.append(f"| {name} | {spread(step)} | {cost} | {part} | {statistics.median(values['finish']):.2f} |")
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    """Returns median, smallest and largest."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
