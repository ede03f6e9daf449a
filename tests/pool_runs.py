"""Run folders of a made-up cohort, for tests of pooling: nothing is trained."""

import json
from pathlib import Path

import numpy as np
from omegaconf import OmegaConf

from malaria_exp.config.registry import build
from malaria_exp.data.split_manifest import Manifest
from malaria_exp.evaluation.evaluate import evaluate
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.thresholds import Threshold

PATIENTS, CELLS, FOLDS = 12, 10, 3


def write_run(folder: Path, config: dict, *, fold=0, seed=0, split_seed=0, changes=None, data_hash="one", leaky=False) -> Path:
    """Writes what a run of one fold leaves.

    Args:
        folder: to make.
        config: a composed configuration with split=patient_kfold; it is copied.
        fold: the patients that are tested; which they are follows from split_seed.
        seed: of the scores' noise.
        split_seed: of the folds.
        changes: dotted key to value in the configuration.
        data_hash: in provenance.json.
        leaky: in metrics.json.
    """
    folder.mkdir(parents=True)
    saved = OmegaConf.create(config)
    set_to = {"split.k": FOLDS, "split.fold": fold, "split.seed": split_seed, "seed": seed}
    for key, value in {**set_to, **(changes or {})}.items():
        OmegaConf.update(saved, key, value)
    patient = np.repeat([f"P{number:02}" for number in range(PATIENTS)], CELLS)
    label = (np.arange(PATIENTS * CELLS) % 2 == 0) & (np.repeat(np.arange(PATIENTS), CELLS) % 4 != 0)
    label = label.astype(np.int8)
    cell = np.array([f"C1{one}ThinF_IMG_20150918_144104_cell_{number % CELLS}" for number, one in enumerate(patient)])
    fold_of = np.random.default_rng(split_seed).permutation(PATIENTS) % FOLDS
    of_cell = np.repeat((fold_of - fold) % FOLDS, CELLS)
    subset = np.select([of_cell == 0, of_cell == 1], ["test", "val"], "train")
    noise = np.random.default_rng(7).normal(size=len(label)) + np.random.default_rng([seed, split_seed, fold]).normal(size=len(label))
    score = 1 / (1 + np.exp(-(2 * label - 1) * 1.5 - noise))
    kept = subset != "train"
    predictions = Predictions(cell[kept], patient[kept], patient[kept], label[kept], score[kept], subset[kept])
    thresholds = {
        "fixed": Threshold(0.5, "given"),
        "target_sensitivity": Threshold(0.4 + 0.1 * fold, "the largest", "a promise", 0.5 + 0.1 * fold),
    }
    metrics = evaluate(
        predictions, thresholds=thresholds, interval=build("interval", "bootstrap", {}), resamples=20, confidence=0.95, seed=0
    )
    manifest = Manifest("patient_kfold", cell, label, patient, patient, patient, cell, subset)
    manifest.write(folder / "split.csv")
    predictions.write(folder / "predictions.csv")
    training = {"monitor": "val_auc", "best_epoch": 1, "parameters": 10, "train_seconds": 1.0}
    texts = {
        "metrics.json": metrics | {"leaky": leaky, "split_hash": manifest.hash, "training": training},
        "provenance.json": {"data_hash": data_hash, "split_hash": manifest.hash},
        "status.json": {"task": "train", "status": "done", "overrides": [f"split.fold={fold}", f"seed={seed}"], "objective": 0.9},
    }
    for name, content in texts.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(saved))
    (folder / "report.html").write_text("<p>a report")
    return folder
