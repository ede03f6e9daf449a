"""What the framework costs beside a bare Keras fit: time per training step, both sides in one process, taking turns.

    python benchmarks/runner_overhead.py [cell_images.zip]

Sides, all with cellnet at its default size, batches of 128, AdamW and label smoothing:
    constant    bare Keras fit that is fed one and the same batch: the step alone
    bare fit    bare Keras fit on images and labels in memory, shuffled, as a tf.data tutorial writes it
    batches     bare Keras fit on the framework's batches, without augmentation
    dihedral    the same with aug=dihedral
    trainer     the framework's trainer with loggers and callbacks, without validation's scoring, aug=none
Without a zip it runs on synthetic cells. Prints the machine, and for each side the median, minimum and maximum of a step in
milliseconds, and its ratio to the side it is compared with: the median of the ratios of each round, and, as other work on the
machine only ever adds time, the ratio of the fastest rounds.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import build
from malaria_exp.data.augmentation_chain import Augmentation, Chain
from malaria_exp.data.batches import TrainingBatches
from malaria_exp.data.pixel_cache import open_pixel_cache
from malaria_exp.data.resize import ResizeRule
from malaria_exp.data.subsets import Cells, Data
from malaria_exp.tracking.logger_interface import Run
from malaria_exp.tracking.logger_queue import Loggers
from malaria_exp.tracking.tracker import Tracker
from malaria_exp.training.precision import set_precision
from malaria_exp.training.settings import Settings, Stage
from malaria_exp.training.trainer_interface import TrainerInputs
from malaria_exp.utils.machine import machine
from malaria_exp.utils.tensorflow_setup import load_tensorflow

BATCH, STEPS, ROUNDS = 128, 20, 13
CACHE = Path(tempfile.gettempdir()) / "malaria_exp_benchmark"


def main() -> None:
    """Measures and prints."""
    load_tensorflow()
    set_precision("bfloat16")
    table = build("dataset", "nih", {"path": sys.argv[1]}) if len(sys.argv) > 1 else build("dataset", "synthetic", {})
    manifest = build("split", "patient_holdout", {}, table)
    cells, val = Data(manifest, open_pixel_cache(table, ResizeRule(64, "pad"), CACHE)).training()
    print(f"{table.name}: {len(cells):,} training cells; {machine()}")
    sides = {
        "constant": bare_side(constant(cells)),
        "bare fit": bare_side(tutorial(cells)),
        "batches": bare_side(framework(cells, []).dataset()),
        "dihedral": bare_side(framework(cells, [build("aug", "dihedral", {})]).dataset()),
        "trainer": trainer_side(cells, val),
    }
    for run in sides.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, run in sides.items():
            times[name].append(run())
    compared = {"bare fit": "constant", "batches": "constant", "dihedral": "constant", "trainer": "bare fit"}
    print(f"{'side':<10} {'median':>8} {'min':>8} {'max':>8}  ms a step, {ROUNDS} rounds of {STEPS} steps")
    for name, values in times.items():
        line = f"{name:<10} {1e3 * statistics.median(values):8.1f} {1e3 * min(values):8.1f} {1e3 * max(values):8.1f}"
        if name in compared:
            ratios = [own / other for own, other in zip(values, times[compared[name]], strict=True)]
            line += (
                f"  {statistics.median(ratios):.3f} x {compared[name]} ({min(values) / min(times[compared[name]]):.3f} x at their fastest)"
            )
        print(line)


def constant(cells: Cells) -> Any:
    """Returns one batch, for ever."""
    import tensorflow as tf

    batch = (cells.images(0, BATCH).astype(np.float32) / 255, cells.labels[:BATCH, None].astype(np.float32))
    return tf.data.Dataset.from_tensors(batch).cache().repeat()


def tutorial(cells: Cells) -> Any:
    """Returns the pipeline as a tutorial writes it: slices of memory, shuffled, batched, scaled, prefetched."""
    import tensorflow as tf

    slices = tf.data.Dataset.from_tensor_slices((cells.images(), cells.labels[:, None].astype(np.float32)))
    batches = slices.shuffle(len(cells), seed=0).repeat().batch(BATCH, drop_remainder=True)
    return batches.map(lambda images, labels: (tf.cast(images, tf.float32) / 255, labels)).prefetch(2)


def framework(cells: Cells, augmentations: list[Augmentation]) -> TrainingBatches:
    """Returns the framework's batches."""
    return TrainingBatches(cells, batch_size=BATCH, chain=Chain(augmentations), seed=0, resident_gb=4)


def build_multiplier(length: RunLength) -> Any:
    """Returns the default schedule."""
    return build("schedule", "cosine", {}, length)


def build_optimizer(factor: Any) -> Any:
    """Returns the default optimizer."""
    return build("optimizer", "adamw", {}, factor)


def bare_side(dataset: Any) -> Callable[[], float]:
    """Returns a function that fits some steps with bare Keras and returns the seconds a step took."""
    import keras

    model = build("model", "cellnet", {})
    model.compile(
        build_optimizer(build_multiplier(RunLength(1, STEPS, BATCH))), build("loss", "bce", {}), metrics=["accuracy"], jit_compile=False
    )
    started = [0.0, 0.0]

    def note_start(epoch: int, _: Any) -> None:
        started[epoch] = time.perf_counter()

    def run() -> float:
        clock = keras.callbacks.LambdaCallback(on_epoch_begin=note_start)
        model.fit(dataset, steps_per_epoch=STEPS, epochs=2, verbose=0, shuffle=False, callbacks=[clock])
        # The first epoch fills shuffle buffers and queues; the second is what a run's epochs cost.
        return (time.perf_counter() - started[1]) / STEPS

    return run


def trainer_side(cells: Cells, val: Cells) -> Callable[[], float]:
    """Returns a function that trains an epoch with the framework's trainer and returns the seconds a step took."""
    from malaria_exp.components.trainer.fit import FitTrainer

    one_val_cell = Cells(val.subset, val.rows[:1], val.labels[:1], val.pixel_cache)
    batches = framework(cells, [])
    batches.length = replace(batches.length, steps_per_epoch=STEPS)

    def run() -> float:
        with tempfile.TemporaryDirectory() as folder:
            tracker = Tracker(Loggers({name: build("logger", name, {}) for name in ("console", "csv")}))
            tracker.loggers.tell("start", Run(Path(folder), "benchmark", None, "train", {}))
            inputs = TrainerInputs(
                build_model=lambda: build("model", "cellnet", {}),
                loss=build("loss", "bce", {}),
                build_multiplier=build_multiplier,
                build_optimizer=build_optimizer,
                batches=batches,
                val=one_val_cell,
                tracker=tracker,
                folder=Path(folder),
                seed=0,
                eval_batch_size=1,
                identity="benchmark",
                cache=CACHE,
                build_metrics=lambda: [build("metric", "accuracy", {})],
                build_callbacks=lambda course: [build("callback", "nan_guard", {}, course)],
            )
            # As on the other sides, the second epoch counts: the first traces the graph.
            trained = FitTrainer(Settings((Stage(2),), monitor="val_loss", precision="bfloat16")).train(inputs)
            tracker.loggers.finish("done")
        return trained.history[1]["seconds"] / STEPS

    return run


if __name__ == "__main__":
    main()
