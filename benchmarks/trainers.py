"""Graphs against plain Python, and fit against the loop: time per training step, all in one process, taking turns.

    python benchmarks/trainers.py [cell_images.zip]

For cellnet and the notebooks' LeNet at 64 px, in float32: trainer=fit and trainer=loop, each as graphs and with eager=true, in batches
of 128 and of 16 cells. Without a zip it runs on synthetic cells. Prints the machine, and for each side median, minimum and maximum of a
step in milliseconds over the rounds, and its ratio to fit's graph.
"""

import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from malaria_exp.config.registry import build
from malaria_exp.data.augmentation_chain import Chain
from malaria_exp.data.batches import TrainingBatches
from malaria_exp.data.pixel_cache import open_pixel_cache
from malaria_exp.data.resize import ResizeRule
from malaria_exp.data.subsets import Cells, Data
from malaria_exp.tracking.logger_queue import Loggers
from malaria_exp.tracking.tracker import Tracker
from malaria_exp.training.trainer_interface import TrainerInputs
from malaria_exp.utils.machine import machine
from malaria_exp.utils.tensorflow_setup import load_tensorflow

ROUNDS, CELLS = 5, 512
SIDES = {"fit": ("fit", False), "loop": ("loop", False), "fit eager": ("fit", True), "loop eager": ("loop", True)}
CACHE = Path(tempfile.gettempdir()) / "malaria_exp_benchmark"


def main() -> None:
    """Measures and prints."""
    load_tensorflow()
    table = build("dataset", "nih", {"path": sys.argv[1]}) if len(sys.argv) > 1 else build("dataset", "synthetic", {})
    manifest = build("split", "patient_holdout", {}, table)
    cells, val = Data(manifest, open_pixel_cache(table, ResizeRule(64, "pad"), CACHE)).training()
    print(f"{table.name}; {machine()}; {ROUNDS} rounds, each the second of two epochs of {CELLS} cells")
    print(f"{'model':<18} {'batch':>5} {'side':<11} {'median':>8} {'min':>8} {'max':>8}  ms a step")
    for model in ("cellnet", "lenet_functional"):
        for batch_size in (128, 16):
            sides = {name: side(model, batch_size, *how, cells, val) for name, how in SIDES.items()}
            times: dict[str, list[float]] = {name: [] for name in sides}
            for _ in range(ROUNDS):
                for name, run in sides.items():
                    times[name].append(run())
            for name, values in times.items():
                ratios = [own / other for own, other in zip(values, times["fit"], strict=True)]
                numbers = " ".join(f"{1e3 * value:8.1f}" for value in (statistics.median(values), min(values), max(values)))
                print(f"{model:<18} {batch_size:>5} {name:<11} {numbers}  {statistics.median(ratios):.2f} x fit", flush=True)


def side(model: str, batch_size: int, trainer: str, eager: bool, cells: Cells, val: Cells) -> Callable[[], float]:
    """Returns a function that trains and returns the seconds a step of the second epoch took."""
    one_val_cell = Cells(val.subset, val.rows[:1], val.labels[:1], val.pixel_cache)
    batches = TrainingBatches(cells, batch_size=batch_size, chain=Chain([build("aug", "dihedral", {})]), seed=0, resident_gb=4)
    batches.length = replace(batches.length, steps_per_epoch=CELLS // batch_size)

    def run() -> float:
        with tempfile.TemporaryDirectory() as folder:
            inputs = TrainerInputs(
                build_model=lambda: build("model", model, {"image_size": 64}),
                loss=build("loss", "bce", {}),
                build_multiplier=lambda length: build("schedule", "cosine", {}, length),
                build_optimizer=lambda factor: build("optimizer", "adamw", {}, factor),
                batches=batches,
                val=one_val_cell,
                tracker=Tracker(Loggers({})),
                folder=Path(folder),
                seed=0,
                eval_batch_size=1,
                identity="benchmark",
                cache=CACHE,
                build_metrics=lambda: [build("metric", "accuracy", {})],
            )
            settings = {"epochs": 2, "precision": "float32", "monitor": "val_loss", "checkpoint": None, "eager": eager}
            trained = build("trainer", trainer, settings).train(inputs)
        return batch_size / float(trained.history[1]["cells_per_second"])

    return run


if __name__ == "__main__":
    main()
