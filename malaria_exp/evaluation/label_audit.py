"""Which labels are contradicted by the models of folds: a ranking, what it means for training, and the nearest cells.

Northcutt, Jiang and Chuang 2021 (https://arxiv.org/abs/1911.00068) is the source of `contradicted`.
"""

from dataclasses import dataclass

import numpy as np

from malaria_exp.evaluation.predictions import sigmoid

# Rows of a matrix of distances that are computed at a time.
ROWS = 512
# Models that have learned from a cell count as long as they contradict at least this fraction of what the others contradict.
LEAST_DOUBT = 0.5


def join_models(logits: np.ndarray, unseen: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns the mean logit of each cell over models, also of those that were trained on it, unless they repeat its label.

    A model that has learned from a cell knows its patient's stain, and there are more of them; as long as it has not learned single
    labels by heart it contradicts a wrong one all the same, and the mean over all models finds more wrong labels than that over
    the models which never saw the patient (benchmarks/label_audit.py). Whether they have learned labels by heart shows in how seldom they
    contradict any.

    Args:
        logits: float64 (M, N), calibrated.
        unseen: bool (M, N), the model never saw the cell's patient; at least once for each cell.
        label: (N,), as given.

    Returns:
        The mean logits, float64 (N,); and the doubt: the error rate against the labels of models that learned from the cells, over
        that of those that did not.
    """
    wrong = (logits > 0) != (label == 1)
    doubt = float(wrong[~unseen].mean() / max(wrong[unseen].mean(), 1 / wrong.size)) if not unseen.all() else 0.0
    counted = np.ones_like(unseen) if doubt >= LEAST_DOUBT else unseen
    return np.where(counted, logits, 0).sum(axis=0) / counted.sum(axis=0), doubt


@dataclass(frozen=True, eq=False)
class LabelAudit:
    """What models say of cells' labels; every column has the shape (N,).

    Attributes:
        label: int8, as given, 1 = parasitized.
        logit: float64, calibrated, of the probability of parasitized.
    """

    label: np.ndarray
    logit: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """The probability that the models give to the cell's label, in [0, 1]."""
        return sigmoid(np.where(self.label == 1, self.logit, -self.logit))

    @property
    def order(self) -> np.ndarray:
        """The cells from the one that contradicts its label most to the one that agrees most, int64."""
        return np.argsort(np.where(self.label == 1, self.logit, -self.logit), kind="stable")

    @property
    def contradicted(self) -> np.ndarray:
        """Boolean: the models give the other class at least the probability that they give it, on average, in cells that are labeled so.

        A class without cells contradicts nothing.
        """
        found = np.zeros(len(self.label), bool)
        for own in (0, 1):
            others = self.right[self.label == 1 - own]
            if len(others):
                found |= (self.label == own) & (1 - self.right >= others.mean())
        return found

    @property
    def weight(self) -> np.ndarray:
        """What a cell may weigh in training, float64 in [0, 1]: 1 where the models rather agree with its label, less the more they do not."""
        return np.minimum(1, 2 * self.right)


def nearest(features: np.ndarray, pool: np.ndarray, allowed: np.ndarray, count: int) -> np.ndarray:
    """Returns the nearest cells of a pool by the angle between features, the nearest first.

    Args:
        features: float (n, D), of the cells whose neighbors are wanted.
        pool: float (M, D).
        allowed: boolean (n, M), which cells of the pool may be a neighbor.
        count: of neighbors.

    Returns:
        int64 (n, count), places in the pool; -1 where fewer are allowed.
    """
    found = np.full((len(features), count), -1)
    unit = _unit(pool)
    for start in range(0, len(features), ROWS):
        part = slice(start, start + ROWS)
        alike = np.where(allowed[part], _unit(features[part]) @ unit.T, -np.inf)
        order = np.argsort(-alike, axis=1, kind="stable")[:, :count]
        found[part, : order.shape[1]] = np.where(np.take_along_axis(alike, order, axis=1) > -np.inf, order, -1)
    return found


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Returns the vectors with a length of 1."""
    vectors = np.asarray(vectors, np.float64)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
