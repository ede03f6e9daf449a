"""Which ranking finds wrong labels that were planted: the audit's, or cleanlab's? And what training on the audited labels changes.

    python -m pip install cleanlab
    python benchmarks/label_audit.py cell_images.zip [--plantings 5] [--patients 30] [--cells 40] [--rate 0.05]
    python benchmarks/label_audit.py cell_images.zip --effect --plantings 2
    python benchmarks/label_audit.py                      # the same on synthetic cells

Of each planting other patients and other cells are drawn. Uniform: labels of any cells are turned; look-alikes: labels of cells whose
score, by the models of the uniform planting that never saw the patient, is nearest to the other class. Models of a few epochs are trained on
folds of the patients, and both sides rank the cells by the same models. A real set has mistakes of its own, which count as false alarms on both
sides.

With --effect a fourth of the patients, whose labels stay as they were, is held out of planting and audit, and a model is trained on the others'
labels: as planted, with the audit's weights, with contradicted cells dropped or relabeled, and as they were before.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import build
from malaria_exp.data.cell_table import CellTable
from malaria_exp.data.open_batches import training_batches
from malaria_exp.data.pixel_cache import PixelCache, open_pixel_cache
from malaria_exp.data.resize import ResizeRule
from malaria_exp.data.sampling import UNIFORM
from malaria_exp.data.subsets import Cells
from malaria_exp.evaluation.calibration import fit_calibration
from malaria_exp.evaluation.label_audit import LabelAudit, join_models
from malaria_exp.evaluation.predictions import sigmoid
from malaria_exp.training.predict import Scorer
from malaria_exp.training.views import with_views
from malaria_exp.utils.machine import machine
from malaria_exp.utils.tensorflow_setup import load_tensorflow

KINDS = ("uniform", "look-alikes")
# Of each class, the fraction of cells, those nearest to the other class, among which look-alikes are planted.
NEAREST = 0.15
BATCH, VIEWS = 64, (1, 4)
OURS, ALONE = "task=audit", "models that never saw the patient, 4 views"
EFFECTS = ("as planted", "weighted", "dropped", "relabeled", "as they were")


def main() -> None:
    """Prints a table for each data set and kind of planting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", nargs="?", help="NIH's cell_images.zip; synthetic cells without it")
    for name, value in {"plantings": 5, "patients": 30, "cells": 40, "folds": 3, "size": 32, "epochs": 5, "seed": 0}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--rate", type=float, default=0.05, help="fraction of labels that are turned")
    parser.add_argument("--effect", action="store_true", help="what training on the audited labels changes, instead of the rankings")
    asked = parser.parse_args()
    try:
        import cleanlab
    except ImportError:
        raise SystemExit(
            "benchmarks/label_audit.py compares with cleanlab, which is not installed: python -m pip install cleanlab"
        ) from None
    load_tensorflow()
    facts = machine()
    print(f"{facts['processor']}, {facts['cores']} cores; cleanlab {cleanlab.__version__}; {vars(asked)}", flush=True)
    table = build("dataset", "nih", {"path": asked.archive}) if asked.archive else build("dataset", "synthetic", {})
    model = SmallModel(asked.size, asked.epochs * asked.patients * asked.cells * (asked.folds - 1) // (asked.folds * BATCH))
    with tempfile.TemporaryDirectory() as folder:
        study(table, open_pixel_cache(table, ResizeRule(asked.size, "pad"), Path(folder)), model, asked)


def study(table: CellTable, pixels: PixelCache, model: "SmallModel", asked: argparse.Namespace) -> None:
    """Plants and audits, and prints what was found."""
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for number in range(asked.plantings):
        started = time.time()
        rng = np.random.default_rng([asked.seed, number])
        rows = draw(table, rng, asked)
        some = Sample(table.select(rows), pixels.select(rows), model, rng, asked)
        clean = some.table.label.astype(np.int64)
        before = np.zeros(len(clean))
        for seed, kind in enumerate(KINDS):
            planted = plant(kind, clean, before, some.held_out, asked.rate, rng)
            label = np.where(planted, 1 - clean, clean)
            plain, flips = some.fold_logits(label, seed)
            before = flips[some.fold, np.arange(len(clean))]
            found[kind].append(some.effect(label, clean, flips) if asked.effect else some.rankings(label, planted, plain, flips))
        print(
            f"  {table.name}, planting {number + 1} of {asked.plantings}: {len(clean):,} cells, {time.time() - started:.0f} s", flush=True
        )
    for kind in KINDS:
        print(f"\n{table.name}, {kind}: {asked.rate:.0%} of the labels planted, {asked.plantings} plantings")
        (print_effects if asked.effect else print_rankings)(found[kind])


def draw(table: CellTable, rng: np.random.Generator, asked: argparse.Namespace) -> np.ndarray:
    """Returns the rows of some patients' cells."""
    chosen = rng.permutation(np.unique(table.patient))[: asked.patients]
    rows = [rng.permutation(np.flatnonzero(table.patient == name))[: asked.cells] for name in chosen]
    return np.sort(np.concatenate(rows))


def plant(kind: str, clean: np.ndarray, logit: np.ndarray, held_out: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
    """Returns which labels are turned, bool (N,), as many of each class as the rate says; none of those held out."""
    planted = np.zeros(len(clean), bool)
    for own in (0, 1):
        rows = np.flatnonzero((clean == own) & ~held_out)
        count = round(rate * len(rows))
        if kind == "look-alikes":
            nearness = logit[rows] if own == 0 else -logit[rows]
            rows = rows[np.argsort(-nearness, kind="stable")[: max(count, round(NEAREST * len(rows)))]]
        planted[rng.choice(rows, count, replace=False)] = True
    return planted


class SmallModel:
    """A model that is trained many times; it is built and compiled once, which takes longer than a training.

    Args:
        size: edge of its images in pixels.
        steps: of a training.
    """

    def __init__(self, size: int, steps: int) -> None:
        self.steps = steps
        self._build = lambda: build("model", "cellnet", {"image_size": size, "stem": 8, "widths": [16, 32, 64], "momentum": 0.6})
        self.model = self._build()
        multiplier = build("schedule", "triangular", {}, RunLength(1, steps, BATCH))
        self.optimizer = build("optimizer", "adamw", {"learning_rate": 6e-3, "weight_decay": 0.02}, multiplier)
        self.optimizer.build(self.model.trainable_variables)
        self.fresh = [variable.numpy() for variable in self.optimizer.variables]
        self.model.compile(self.optimizer, build("loss", "bce", {}), jit_compile=False)
        self.scorers = {views: Scorer(with_views(self.model, views), 512) for views in VIEWS}

    def train(self, batches: Any, seed: int) -> None:
        """Trains new weights on endless batches."""
        import keras

        keras.utils.set_random_seed(seed)
        self.model.set_weights(self._build().get_weights())
        for variable, value in zip(self.optimizer.variables, self.fresh, strict=True):
            variable.assign(value)
        self.model.fit(batches, steps_per_epoch=self.steps, epochs=1, verbose=0, shuffle=False)


class Sample:
    """Cells of some patients, dealt to folds.

    Args:
        table: the cells.
        pixels: their images.
        model: is trained again and again.
        rng: deals the patients.
        asked: the command line.
    """

    def __init__(
        self, table: CellTable, pixels: PixelCache, model: "SmallModel", rng: np.random.Generator, asked: argparse.Namespace
    ) -> None:
        self.table, self.pixels, self.model, self.asked, self.seed = table, pixels, model, asked, int(rng.integers(2**31))
        names = rng.permutation(np.unique(table.patient))
        outside = len(names) // 4 if asked.effect else 0
        number = {name: -1 if place < outside else place % asked.folds for place, name in enumerate(names.tolist())}
        dealt = np.array([number[name] for name in table.patient.tolist()])
        self.held_out = dealt < 0
        self.fold = np.maximum(dealt, 0)

    def train(self, label: np.ndarray, rows: np.ndarray, seed: int, weight: np.ndarray | None = None) -> None:
        """Trains the model anew, on some cells with these labels."""
        cells = Cells("train", rows, label[rows].astype(np.int8), self.pixels)
        sampling = UNIFORM.weighted(np.ones(len(rows), np.float32) if weight is None else weight)
        self.model.train(
            training_batches(
                cells, batch_size=BATCH, augmentations=[build("aug", "dihedral", {})], seed=seed, resident_gb=4, sampling=sampling, epochs=1
            ).dataset(),
            seed,
        )

    def logits(self, views: int) -> np.ndarray:
        """Returns the trained model's logits of all cells."""
        cells = Cells("all", np.arange(len(self.table)), np.zeros(len(self.table), np.int8), self.pixels)
        return self.model.scorers[views].logits(cells)

    def fold_logits(self, label: np.ndarray, seed: int) -> np.ndarray:
        """Returns the logits of the folds' models for all cells, of one view and of four, (2, folds, N)."""
        found = []
        for fold in range(self.asked.folds):
            self.train(label, np.flatnonzero((self.fold != fold) & ~self.held_out), self.seed + 100 * seed + fold)
            found.append([self.logits(views) for views in VIEWS])
        return np.array(found).swapaxes(0, 1)

    def calibrated(self, label: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """Returns the folds' logits (folds, N), calibrated by the cells of their fold, as runs are by validation patients."""
        tested = (self.fold == np.arange(self.asked.folds)[:, None]) & ~self.held_out
        maps = [
            fit_calibration("temperature", build("calibration", "temperature", {}), one[test], label[test]).map
            for one, test in zip(logits, tested, strict=True)
        ]
        return np.stack([scale(one) for scale, one in zip(maps, logits, strict=True)])

    def audit(self, label: np.ndarray, logits: np.ndarray) -> tuple[LabelAudit, float]:
        """Returns the audit of the cells that are not held out, as task=audit makes it."""
        own = ~self.held_out
        tested = self.fold[own] == np.arange(self.asked.folds)[:, None]
        joined, doubt = join_models(self.calibrated(label, logits)[:, own], tested, label[own])
        return LabelAudit(label[own], joined), doubt

    def rankings(self, label: np.ndarray, planted: np.ndarray, plain: np.ndarray, flips: np.ndarray) -> dict[str, Any]:
        """Returns by ranking how doubtful each label is (higher: more), with what the issues lists hold."""
        from cleanlab.filter import find_label_issues
        from cleanlab.rank import get_label_quality_scores

        places = np.arange(len(label))
        found: dict[str, Any] = {"planted": planted}
        alone = flips[self.fold, places]
        found[ALONE] = np.where(label == 1, -alone, alone)
        calibrated = self.calibrated(label, flips)[self.fold, places]
        for words, logit in (("", plain[self.fold, places]), (", 4 views", alone), (", 4 views, calibrated", calibrated)):
            scores = sigmoid(logit)
            both = np.stack([1 - scores, scores], axis=1)
            for adjusted in (False, True):
                name = f"cleanlab self_confidence{', adjusted' if adjusted else ''}{words}"
                found[name] = -get_label_quality_scores(label, both, method="self_confidence", adjust_pred_probs=adjusted)
            found[f"list: cleanlab find_label_issues{words}"] = find_label_issues(label, both)
        audit, found["doubt"] = self.audit(label, flips)
        found[OURS] = -audit.right
        found["list: task=audit, contradicted"] = audit.contradicted
        return found

    def effect(self, label: np.ndarray, clean: np.ndarray, flips: np.ndarray) -> dict[str, float]:
        """Returns the AUC on the patients held out, by what the model was trained on."""
        audit, _ = self.audit(label, flips)
        own = np.flatnonzero(~self.held_out)
        relabeled = label.copy()
        relabeled[own[audit.contradicted]] = 1 - label[own[audit.contradicted]]
        trained = {
            "as planted": (label, own, None),
            "weighted": (label, own, audit.weight),
            "dropped": (label, own[~audit.contradicted], None),
            "relabeled": (relabeled, own, None),
            "as they were": (clean, own, None),
        }
        found = {}
        for name, (labels, rows, weight) in trained.items():
            self.train(labels, rows, self.seed + 7, weight)
            logits = self.logits(4)
            found[name] = float(roc_auc_score(clean[self.held_out], logits[self.held_out]))
        return found


def print_rankings(found: list[dict[str, Any]]) -> None:
    """Prints average precision and precision at the number planted, and how much the audit's is above the best of cleanlab's."""
    names = [name for name in found[0] if name not in ("planted", "doubt") and not name.startswith("list")]
    measured = {name: np.array([measure(one["planted"], one[name]) for one in found]) for name in names}
    print(f"{'':<52}{'average precision':>18}{'precision at the number planted':>34}")
    for name in names:
        print(f"{name:<52}{measured[name][:, 0].mean():>18.3f}{measured[name][:, 1].mean():>34.3f}")
    for column, words in enumerate(("average precision", "precision at the number planted")):
        best = max((name for name in names if name.startswith("cleanlab")), key=lambda name: measured[name][:, column].mean())
        difference = measured[OURS][:, column] - measured[best][:, column]
        print(
            f"{words}: {OURS} minus {best}: {difference.mean():+.3f} ({between(difference)}), better in {(difference > 0).sum()} of {len(difference)}"
        )
    for name in (name for name in found[0] if name.startswith("list")):
        size, right = (
            np.mean([one[name].sum() for one in found]),
            np.mean([one["planted"][one[name]].mean() if one[name].any() else 0 for one in found]),
        )
        recall = np.mean([one[name][one["planted"]].mean() for one in found])
        print(f"{name}: {size:.0f} cells, precision {right:.3f}, recall {recall:.3f}")
    print(f"doubt of models that learned from the cells: {np.mean([one['doubt'] for one in found]):.2f}", flush=True)


def print_effects(found: list[dict[str, float]]) -> None:
    """Prints the AUC of each training, and its difference to that on the labels as planted."""
    for name in EFFECTS:
        values = np.array([one[name] for one in found])
        difference = values - np.array([one["as planted"] for one in found])
        print(f"trained on labels {name:<14} AUC {values.mean():.4f}   {difference.mean():+.4f} ({between(difference)})", flush=True)


def measure(planted: np.ndarray, doubt: np.ndarray) -> tuple[float, float]:
    """Returns the average precision, and the fraction of planted ones among as many cells as were planted."""
    most = np.argsort(-doubt, kind="stable")[: planted.sum()]
    return float(average_precision_score(planted, doubt)), float(planted[most].mean())


def between(differences: np.ndarray) -> str:
    """Returns the 95 % interval of a mean difference over plantings (paired, Student's t)."""
    count = len(differences)
    if count < 2:
        return "one planting: no interval"
    half = stats.t.ppf(0.975, count - 1) * differences.std(ddof=1) / np.sqrt(count)
    return f"{differences.mean() - half:+.3f} to {differences.mean() + half:+.3f}"


if __name__ == "__main__":
    main()
