"""Which weights are better at the end of a training: those of the best epoch, or those of the last (trainer.keep)?

    python benchmarks/keep_study.py cell_images.zip --splits 20 --size 32 --cells 4000 --epochs 6
    python benchmarks/keep_study.py                       # the same on synthetic cells

Of each split of the patients one training is made, and both weights of it are scored on the test patients: so nothing else differs. With --ema the
weights are averages. Splits share patients; the intervals of the differences are those of Nadeau and Bengio 2003 (doi:10.1023/A:1024068626366).
"""

import argparse
import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from malaria_exp.config.registry import build
from malaria_exp.data.open_batches import training_batches
from malaria_exp.data.pixel_cache import open_pixel_cache
from malaria_exp.data.resize import ResizeRule
from malaria_exp.data.subsets import Cells, Data
from malaria_exp.evaluation.metrics import compute
from malaria_exp.evaluation.predictions import sigmoid
from malaria_exp.evaluation.thresholds import HALF
from malaria_exp.tracking.logger_queue import Loggers
from malaria_exp.tracking.tracker import Tracker
from malaria_exp.training.predict import Scorer
from malaria_exp.training.trainer_interface import TrainerInputs
from malaria_exp.utils.machine import machine
from malaria_exp.utils.tensorflow_setup import load_tensorflow

SHOWN = ("auc", "accuracy", "log_loss")


def main() -> None:
    """Trains once for each split and prints both sides and their differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", nargs="?", help="NIH's cell_images.zip; synthetic cells without it")
    for name, value in {"splits": 20, "size": 32, "cells": 4000, "epochs": 6, "batch": 64}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--ema", type=float, default=None)
    asked = parser.parse_args()
    load_tensorflow()
    table = build("dataset", "nih", {"path": asked.archive}) if asked.archive else build("dataset", "synthetic", {})
    facts = machine()
    print(f"{table.name}, {len(table):,} cells; {facts['processor']}, {facts['cores']} cores; {asked}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        pixels = open_pixel_cache(table, ResizeRule(asked.size, "pad"), Path(folder))
        found, fraction = [], 0.0
        for seed in range(asked.splits):
            data = Data(build("split", "patient_holdout", {"seed": seed}, table), pixels)
            best, last, epoch = both(data, asked, seed, Path(folder))
            found.append([[side[name] for name in SHOWN] for side in (best, last)])
            counts = data.manifest.counts()
            fraction += counts["test"]["cells"] / counts["train"]["cells"] / asked.splits
            print(f"split {seed:>3}: best epoch {epoch:>2}  AUC {best['auc']:.4f}, last {last['auc']:.4f}", flush=True)
    scores = np.array(found)
    print(f"\n{'':<10}{'best':>9}{'last':>9}{'last - best':>13}{'95 % interval':>24}   last better in")
    for number, name in enumerate(SHOWN):
        one, other = scores[:, 0, number], scores[:, 1, number]
        low, high = interval(other - one, fraction)
        better = np.mean(other < one if name == "log_loss" else other > one)
        between = f"{low:+.5f} to {high:+.5f}"
        print(
            f"{name:<10}{one.mean():>9.4f}{other.mean():>9.4f}{np.mean(other - one):>+13.5f}{between:>24}   {better:.0%} of {len(one)} splits"
        )


def interval(differences: np.ndarray, fraction: float) -> tuple[float, float]:
    """Returns the 95 % interval of a mean difference over splits; `fraction` is test cells over training cells."""
    count = len(differences)
    half = stats.t.ppf(0.975, count - 1) * np.sqrt(differences.var(ddof=1) * (1 / count + fraction))
    return float(differences.mean() - half), float(differences.mean() + half)


def both(data: Data, asked: argparse.Namespace, seed: int, folder: Path) -> tuple[dict[str, float], dict[str, float], int]:
    """Returns the test metrics with the weights of the best epoch and of the last, and the number of the best epoch."""
    import keras

    cells, val = data.training()
    rows = np.sort(np.random.default_rng(seed).permutation(len(cells))[: asked.cells])
    cells = dataclasses.replace(cells, rows=cells.rows[rows], labels=cells.labels[rows])
    weights: list[Any] = []

    def remember(context: Any) -> list[Any]:
        # At the end of an epoch the model has the weights that may be kept, averaged or not.
        return [keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: weights.append(context.model.get_weights()))]

    inputs = TrainerInputs(
        build_model=lambda: build("model", "cellnet", {"image_size": asked.size, "stem": 8, "widths": [16, 32, 64]}),
        loss=build("loss", "bce", {}),
        build_multiplier=lambda length: build("schedule", "cosine", {}, length),
        build_optimizer=lambda factor: build("optimizer", "adamw", {"learning_rate": asked.rate}, factor),
        batches=training_batches(cells, batch_size=asked.batch, augmentations=[build("aug", "dihedral", {})], seed=seed, resident_gb=4),
        val=val,
        tracker=Tracker(Loggers({})),
        folder=folder,
        seed=seed,
        eval_batch_size=512,
        identity="keep_study",
        cache=folder,
        build_callbacks=remember,
    )
    settings = {"epochs": asked.epochs, "precision": "float32", "checkpoint": None, "ema": asked.ema}
    trained = build("trainer", "fit", settings).train(inputs)
    test = data.open("test", "a study")
    scorer = trained.scorer or Scorer(trained.model)
    best = measure(scorer, test)
    trained.model.set_weights(weights[-1])
    return best, measure(scorer, test), trained.best_epoch


def measure(scorer: Scorer, cells: Cells) -> dict[str, float]:
    """Returns the metrics of a model on cells."""
    return compute(cells.labels, sigmoid(scorer.logits(cells)), HALF)


if __name__ == "__main__":
    main()
