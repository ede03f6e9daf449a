"""How well labels can be guessed from files alone, by which of their features, and what that costs a run.

    python benchmarks/shortcuts.py cell_images.zip [--folds 5]

Each fold's test patients are guessed by a baseline that is fitted to its training patients; the folds' AUC is pooled. Exits with 1 if the baseline
takes more than a second of processor time in a run.
"""

import argparse
import sys
import time

import keras
import numpy as np

from malaria_exp.config.registry import build
from malaria_exp.data.shortcut_features import shortcut_features
from malaria_exp.evaluation.shortcuts import shortcut_entry, shortcut_scores
from malaria_exp.utils.machine import machine


def main() -> int:
    """Prints the machine, the table and the time, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zip", help="the official cell_images.zip")
    parser.add_argument("--folds", type=int, default=5, help="of patients")
    arguments = parser.parse_args()
    print(machine(), "keras", keras.__version__)
    table = build("dataset", "nih", {"path": arguments.zip})
    splits = [build("split", "patient_kfold", {"k": arguments.folds, "fold": fold}, table) for fold in range(arguments.folds)]
    interval = build("interval", "clustered", {})
    start, wall = time.process_time(), time.perf_counter()
    features = shortcut_features(table)
    shortcut_scores(features.values, table.label, splits[0].rows("train"), splits[0].rows("test"), 0)
    seconds, waited = time.process_time() - start, time.perf_counter() - wall
    columns = {"all": list(range(len(features.names)))} | {name: [place] for place, name in enumerate(features.names)}
    print(f"AUC of {len(table):,} cells of {len(np.unique(table.patient))} patients, {arguments.folds} folds")
    for name, chosen in columns.items():
        scores, rows = np.zeros(len(table)), []
        for split in splits:
            rows.append(split.rows("test"))
            scores[rows[-1]] = shortcut_scores(features.values[:, chosen], table.label, split.rows("train"), rows[-1], 0)
        tested = np.concatenate(rows)
        entry = shortcut_entry(
            table.label[tested], scores[tested], table.patient[tested], [name], interval=interval, resamples=0, confidence=0.95, seed=0
        )
        auc = entry["auc"]
        print(f"  {name:<22} {auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f})")
    print(f"in a run: {seconds:.2f} s of processor time, {waited:.2f} s waited")
    return int(seconds > 1)


if __name__ == "__main__":
    sys.exit(main())
