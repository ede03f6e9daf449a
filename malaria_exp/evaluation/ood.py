"""Does an image look like the training data? A detector of those that do not (out of distribution, OOD), as numbers.

It has several parts, each of which looks at the image in one respect: statistics of its pixels, and what the model computes of it at one
depth, as no single layer finds every kind of foreign image (Anthony and Kamnitsas 2023, https://arxiv.org/abs/2309.01488). A part
measures how far an image's features lie from those of training cells.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from malaria_exp.data.cell_table import rows_by_patient
from malaria_exp.evaluation.shift import ShiftReference, fit_shift

NONE = "none"
# At most so many of the held-out cells may be warned of. The limits are set for fewer, as new patients differ from those they are set on.
ALLOWED, AIM = 0.05, 0.045
# Directions in which training cells differ most: those that are kept of a part's features, with at least so many cells for each.
MOST_DIRECTIONS, CELLS_A_DIRECTION = 64, 4
# Directions in which training cells hardly differ count as if they differed so much; a feature by itself has a variance of 1.
LEAST_VARIANCE = 1e-3
FOLDS = 5
FEWEST_CELLS = 20
# Features that hardly differ among training cells count as if they differed so much, as a fraction of the root mean square of all features.
LEAST_SPREAD = 0.1
# Of the spread of a part's features and of a limit, so that scores of features that never differ stay far below what float32 holds.
LEAST = 1e-3

# What the options of the group `ood` build: features of training cells, (N, K) of mean 0 and equal variance, and a generator of random
# numbers, to points (M, K). A part's distance is that to the nearest of them.
FitPoints = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True, eq=False)
class Part:
    """What a detector looks at in one respect: the distance of features, brought to equal variance, to the nearest of some points.

    Attributes:
        words: the respect.
        center: float32 (D,), subtracted from the features.
        weights: float32 (D, K), multiplies them.
        points: float32 (M, K). Weights and points are scaled so that a distance above 1 warns.
    """

    words: str
    center: np.ndarray
    weights: np.ndarray
    points: np.ndarray

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Returns the distances, float64 (N,), of features (N, D)."""
        found = (np.asarray(features, np.float64) - self.center) @ self.weights
        # A product of matrices instead of all differences: (N, M), not (N, M, K).
        squares = np.square(found).sum(axis=1)[:, None] + np.square(self.points).sum(axis=1) - 2 * found @ self.points.T.astype(np.float64)
        return np.sqrt(np.maximum(squares.min(axis=1), 0))

    def scaled(self, limit: float) -> "Part":
        """Returns the part with its distances divided by a limit."""
        return Part(self.words, self.center, (self.weights / limit).astype(np.float32), (self.points / limit).astype(np.float32))


@dataclass(frozen=True, eq=False)
class Detector:
    """A fitted detector.

    Attributes:
        name: the option that fitted it.
        parts: what it looks at; those of the image first, then those of the model.
        taps: for each of the model's parts, the call of a layer whose input it looks at, see `malaria_exp.training.ood_features`.
        false_warnings: fraction of cells that some part warns of, the mean over validation patients, each left out of the limits; None
            where no patient could be left out.
        shift: by which a batch of cells as a whole is judged.
    """

    name: str
    parts: tuple[Part, ...]
    taps: tuple[int, ...]
    false_warnings: float | None
    shift: ShiftReference

    def scores(self, features: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the OOD scores, float64 (N, P), of the parts' features."""
        return np.stack([part.scores(found) for part, found in zip(self.parts, features, strict=True)], axis=1)


@dataclass(frozen=True, eq=False)
class Features:
    """What a detector is fitted to.

    Attributes:
        values: of each part, float (N, D).
        patient: whom each cell comes from, str (N,).
    """

    values: Sequence[np.ndarray]
    patient: np.ndarray


def warns(scores: np.ndarray) -> np.ndarray:
    """Returns which parts warn of which cells, boolean (N, P), of OOD scores (N, P); a score that is no number warns."""
    return np.logical_not(np.asarray(scores) <= 1)


def fit_detector(
    name: str, fit: FitPoints, words: Sequence[str], taps: Sequence[int], train: Features, val: Features, seed: int
) -> Detector | None:
    """Fits a detector to training cells, with limits by cells that it was not fitted to; None if there are too few cells.

    The limits hold jointly: at one level, the same fraction of cells for every part, such that at most AIM of the cells, as a mean over
    patients, are warned of by any part. The cells are those of validation patients, and those of training patients, each left out of a
    fit of its own (cross-fitting): few validation patients alone say too little of how patients differ. The model was trained on training
    cells, so they lie closer in its features; their distances are scaled up to the median of the validation patients'.

    Args:
        name: the option.
        fit: what it built.
        words: the parts.
        taps: see `Detector`.
        train: some training cells.
        val: some validation cells.
        seed: of what is drawn.
    """
    if len(train.patient) < FEWEST_CELLS or not len(val.patient):
        return None
    folds = _folds(train.patient)
    parts, left_out, held_out = [], [], []
    for number, said in enumerate(words):
        values = np.asarray(train.values[number], np.float64)
        part = _fit_part(said, fit, values, np.random.default_rng([seed, number]))
        own = np.empty(len(values))
        for fold in np.unique(folds):
            others = _fit_part(said, fit, values[folds != fold], np.random.default_rng([seed, number, int(fold)]))
            own[folds == fold] = others.scores(values[folds == fold])
        new = part.scores(val.values[number])
        left_out.append(own * max(1.0, _typical(new, val.patient) / max(_typical(own, train.patient), 1e-12)))
        held_out.append(new)
        parts.append(part)
    groups, own_groups = (
        [distances[own] for _, own in rows_by_patient(patient)]
        for distances, patient in ((np.stack(left_out, axis=1), train.patient), (np.stack(held_out, axis=1), val.patient))
    )
    everyone = groups + own_groups
    aim = AIM
    while (false := _false_warnings(groups, own_groups, aim)) is not None and false > ALLOWED and aim > AIM / 8:
        aim /= 2
    limits = joint_limits(everyone, aim)
    shift = fit_shift([distances / limits for distances in everyone])
    scaled = tuple(part.scaled(limit) for part, limit in zip(parts, limits, strict=True))
    return Detector(name, scaled, tuple(taps), false, shift)


def joint_limits(groups: Sequence[np.ndarray], aim: float) -> np.ndarray:
    """Returns a limit for each part, (P,), float64 above 0, at which at most a fraction `aim` of the cells is above any of them.

    Every part's limit is at the same level: the same fraction of cells is above it. All groups weigh the same.

    Args:
        groups: distances of each patient's cells, (cells, P).
        aim: in (0, 1).
    """
    distances = np.concatenate(groups)
    weights = np.concatenate([np.full(len(group), 1 / len(group) / len(groups)) for group in groups])
    # Of each distance, the fraction of cells that are at least as far.
    levels = np.empty_like(distances)
    for part in range(distances.shape[1]):
        order = np.argsort(-distances[:, part], kind="stable")
        levels[order, part] = np.cumsum(weights[order])
    order = np.argsort(levels.min(axis=1), kind="stable")
    # The most extreme cells, as many as may be warned of; the limits are the largest distances of all others.
    warned = order[: np.searchsorted(np.cumsum(weights[order]), aim, side="right")]
    return np.maximum(np.delete(distances, warned, axis=0).max(axis=0), LEAST)


def describe_foreign(subset: str, found: Mapping[str, Any]) -> str:
    """Returns a sentence for the report: of how many cells a detector warns, and most often why.

    Args:
        subset: its name in words.
        found: `ood` of the subset in metrics.json.
    """
    part, most = max(found["parts"].items(), key=lambda item: item[1])
    why = f", most often by {part}" if most else ""
    return f"{found['warned']:.1%} of the {subset} cells do not look like the training data{why}."


def _false_warnings(groups: list[np.ndarray], own_groups: list[np.ndarray], aim: float) -> float | None:
    """Returns the mean over validation patients of the fraction of cells that are warned of by limits set on all other patients."""
    if not groups or len(own_groups) < 2:
        return None
    found = []
    for number, distances in enumerate(own_groups):
        limits = joint_limits([*groups, *own_groups[:number], *own_groups[number + 1 :]], aim)
        found.append(warns(distances / limits).any(axis=1).mean())
    return float(np.mean(found))


def _fit_part(words: str, fit: FitPoints, values: np.ndarray, draw: np.random.Generator) -> Part:
    """Returns a part whose distances have no limit yet, fitted to features float64 (N, D)."""
    center, spread = values.mean(axis=0), values.std(axis=0)
    spread = spread + LEAST_SPREAD * max(float(np.sqrt(np.square(spread).mean())), LEAST)
    standard = (values - center) / spread
    variance, directions = np.linalg.eigh(standard.T @ standard / len(standard))
    kept = np.argsort(-variance, kind="stable")[: max(1, min(MOST_DIRECTIONS, len(values) // CELLS_A_DIRECTION))]
    weights = directions[:, kept] / np.sqrt(np.maximum(variance[kept], 0) + LEAST_VARIANCE)
    points = fit(standard @ weights, draw)
    return Part(words, *(np.ascontiguousarray(found, np.float32) for found in (center, weights / spread[:, None], points)))


def _folds(patients: np.ndarray) -> np.ndarray:
    """Returns the fold of each cell, int64 (N,): those of a patient together, unless all are of one patient, or of none that is known."""
    names, number = np.unique(patients, return_inverse=True)
    return (number if len(names) > 1 else np.arange(len(patients))) % FOLDS


def _typical(distances: np.ndarray, patients: np.ndarray) -> float:
    """Returns the median over patients of their cells' median."""
    return float(np.median([np.median(distances[own]) for _, own in rows_by_patient(patients)]))
