"""Trains in a process of its own: python strategy_worker.py FOLDER STRATEGY CPU_DEVICES BATCHES CASE... writes FOLDER/CASE.npz."""

import sys
from pathlib import Path

import numpy as np

VIT = ("vit", {"image_size": 32, "patch_size": 8, "width": 16, "depth": 1, "heads": 2, "dropout": 0.0})
CELLNET = ("cellnet", {"image_size": 32, "stem": 4, "widths": [8]})
# Trainer, model, parameters of the trainer.
CASES = {
    "fit_ema": ("fit", VIT, {"ema": 0.9}),
    "loop_ema": ("loop", VIT, {"ema": 0.9}),
    "norms": ("fit", CELLNET, {"epochs": 1}),
}


def main(folder: Path, strategy: str, devices: int, cases: list[str]) -> None:
    import tensorflow as tf

    if devices > 1:
        processor = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * devices)
    from malaria_exp.config.registry import build
    from malaria_exp.data.augmentation_chain import Chain
    from malaria_exp.data.batches import TrainingBatches
    from malaria_exp.data.pixel_cache import open_pixel_cache
    from malaria_exp.data.resize import ResizeRule
    from malaria_exp.data.subsets import Data
    from malaria_exp.tracking.logger_queue import Loggers
    from malaria_exp.tracking.tracker import Tracker
    from malaria_exp.training.strategy import open_strategy
    from malaria_exp.training.trainer_interface import TrainerInputs

    opened = open_strategy(strategy)
    table = build("dataset", "synthetic", {"infected_patients": 10, "healthy_patients": 4, "cells_per_patient": 10, "cell_size": 40})
    manifest = build("split", "patient_holdout", {}, table)
    data = Data(manifest, open_pixel_cache(table, ResizeRule(32, "pad"), folder.parent / "cache"))
    cells, val = data.training()
    for case in cases:
        trainer, model, params = CASES[case]
        parts = TrainerInputs(
            build_model=lambda model=model: build("model", *model),
            loss=build("loss", "bce", {}),
            build_multiplier=lambda length: build("schedule", "cosine", {}, length),
            build_optimizer=lambda factor: build("optimizer", "adamw", {"learning_rate": 0.003}, factor),
            batches=TrainingBatches(cells, batch_size=16, chain=Chain([build("aug", "dihedral", {})]), seed=1, resident_gb=1),
            val=val,
            tracker=Tracker(Loggers({})),
            folder=folder,
            seed=1,
            eval_batch_size=64,
            identity="test",
            cache=folder,
            build_metrics=lambda: [build("metric", name, {}) for name in ("accuracy", "tp")],
            strategy=opened,
        )
        own = {"epochs": 2, "precision": "float32", "strategy": strategy, **params}
        trained = build("trainer", trainer, own).train(parts)
        weights = {f"weight_{number}": value for number, value in enumerate(trained.model.get_weights())}
        names = [name for name in trained.history[0] if name not in ("seconds", "cells_per_second")]
        rows = np.array([[row[name] for name in names] for row in trained.history])
        np.savez(folder / f"{case}.npz", history=rows, names=names, **weights)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:])
