"""Metrics: every number that evaluation reports, each computed in one place.

Rates come from the four named counts (tp, fp, tn, fn), and only from there; positive is parasitized = 1. Ranking metrics come from
one sort of the scores. All take weights of the shape (N,) or (R, N), so that R bootstrap resamples cost one pass.
A metric that is undefined on the cells given (AUC with one class, PPV without a predicted positive) is nan, never 0 or 1.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from malaria_exp.utils.errors import ConfigError, did_you_mean

# A wrong score of exactly 0 or 1 costs -log(1e-7) = 16.1 instead of infinity; Keras clips at the same value.
LOG_LOSS_EPSILON = 1e-7

Direction = Literal["max", "min"]


def _ratio(top: Any, bottom: Any) -> Any:
    top, bottom = np.asarray(top, dtype=np.float64), np.asarray(bottom, dtype=np.float64)
    nothing = np.full(np.broadcast_shapes(top.shape, bottom.shape), np.nan)
    return np.divide(top, bottom, out=nothing, where=bottom > 0)[()]


@dataclass(frozen=True)
class Counts:
    """The confusion matrix at one threshold, and every rate that follows from it.

    Each count is a number, or an array (R,) for R sets of weights; the rates have the same shape and lie in [0, 1] (mcc in
    [-1, 1]); nan where the denominator is 0.

    Attributes:
        tp: parasitized cells predicted parasitized.
        fp: uninfected cells predicted parasitized.
        tn: uninfected cells predicted uninfected.
        fn: parasitized cells predicted uninfected.
    """

    tp: Any
    fp: Any
    tn: Any
    fn: Any

    @property
    def accuracy(self) -> Any:
        """Fraction of all cells that is predicted correctly."""
        return _ratio(self.tp + self.tn, self.tp + self.fp + self.tn + self.fn)

    @property
    def sensitivity(self) -> Any:
        """Fraction of the parasitized cells that is found (recall)."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> Any:
        """Fraction of the uninfected cells that is predicted uninfected."""
        return _ratio(self.tn, self.tn + self.fp)

    @property
    def ppv(self) -> Any:
        """Fraction of the cells predicted parasitized that is parasitized (precision); it depends on the prevalence."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def npv(self) -> Any:
        """Fraction of the cells predicted uninfected that is uninfected; it depends on the prevalence."""
        return _ratio(self.tn, self.tn + self.fn)

    @property
    def f1(self) -> Any:
        """Harmonic mean of sensitivity and PPV."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def mcc(self) -> Any:
        """Matthews correlation coefficient (Matthews 1975); nan if a row or column of the matrix is empty."""
        tp, fp, tn, fn = (np.asarray(value, dtype=np.float64) for value in (self.tp, self.fp, self.tn, self.fn))
        return _ratio(tp * tn - fp * fn, np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))


def count(labels: np.ndarray, scores: np.ndarray, threshold: float | np.ndarray, weights: np.ndarray | None = None) -> Counts:
    """Counts the four kinds of cells; a cell is predicted parasitized if score >= threshold.

    Args:
        labels: (N,), 1 = parasitized, 0 = uninfected.
        scores: (N,), finite.
        threshold: on the scale of the scores; (N,) if cells have thresholds of their own, as those of joined folds.
        weights: None for one each; (N,) or (R, N), not negative.

    Returns:
        Counts of int without weights, else of float or of float64 arrays (R,).
    """
    labels, scores = _checked(labels, scores)
    predicted, positive = scores >= threshold, labels == 1
    kinds = np.stack([predicted & positive, predicted & ~positive, ~predicted & ~positive, ~predicted & positive], axis=1)
    if weights is None:
        return Counts(*kinds.sum(axis=0).tolist())
    sums = np.asarray(weights, dtype=np.float64) @ kinds.astype(np.float64)
    return Counts(*(sums.tolist() if sums.ndim == 1 else sums.T))


class Ranking:
    """Cells sorted by score, once, for ranking metrics under any number of weightings.

    Cells of equal score form one step, so the order among ties has no effect.

    Args:
        labels: (N,), 1 = parasitized, 0 = uninfected.
        scores: (N,), finite.
    """

    def __init__(self, labels: np.ndarray, scores: np.ndarray) -> None:
        labels, scores = _checked(labels, scores)
        self.order = np.argsort(-scores, kind="stable")
        self.positive = (labels[self.order] == 1).astype(np.float64)
        self.starts = np.flatnonzero(np.append(True, np.diff(scores[self.order]) != 0))
        self.thresholds = scores[self.order][self.starts]

    @property
    def step_of_cell(self) -> np.ndarray:
        """The step of each cell, int (N,): 0 at the highest score, in the order in which the cells were given."""
        steps = np.empty(len(self.order), dtype=np.intp)
        steps[self.order] = np.repeat(np.arange(len(self.starts)), np.diff(np.append(self.starts, len(self.order))))
        return steps

    def curve(self, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Returns the cumulative weights (tp, fp), each (..., G), at the G distinct scores from the highest down."""
        sorted_weights = np.ones(len(self.order)) if weights is None else np.asarray(weights, dtype=np.float64)[..., self.order]
        found = sorted_weights * self.positive
        steps = (np.add.reduceat(kind, self.starts, axis=-1) for kind in (found, sorted_weights - found))
        tp, fp = (np.cumsum(step, axis=-1) for step in steps)
        return tp, fp

    def auc_and_average_precision(self, weights: np.ndarray | None = None) -> tuple[Any, Any]:
        """Returns (auc, average_precision), each of the weights' shape without the last axis; nan unless both classes have weight.

        AUC is the trapezoid rule, so a tie counts one half (Hanley and McNeil 1982). Average precision is the sum of precision
        over the steps in recall, without interpolation. Both equal scikit-learn's, except that its average precision of positives
        alone is 1.0.
        """
        tp, fp = self.curve(weights)
        positives, negatives = tp[..., -1], fp[..., -1]
        tp_step, fp_step = (np.diff(curve, axis=-1, prepend=0.0) for curve in (tp, fp))
        auc = _ratio((fp_step * (tp - tp_step / 2)).sum(axis=-1), positives * negatives)
        predicted = tp + fp
        precision = np.divide(tp, predicted, out=np.zeros_like(tp), where=predicted > 0)
        average_precision = _ratio((tp_step * precision).sum(axis=-1), positives)
        return auc, np.where((positives > 0) & (negatives > 0), average_precision, np.nan)[()]


def cell_losses(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns (log loss in nats, squared error) of each cell, each (N,); scores are clipped by LOG_LOSS_EPSILON for the log."""
    labels, scores = _checked(labels, scores)
    clipped = np.clip(scores, LOG_LOSS_EPSILON, 1 - LOG_LOSS_EPSILON)
    return -np.log(np.where(labels == 1, clipped, 1 - clipped)), np.square(scores - labels)


@dataclass(frozen=True)
class Metric:
    """The names of a metric and which way is better.

    Attributes:
        name: the key in metrics.json and in `monitor`.
        label: the name in reports.
        direction: "max" if more is better, else "min".
        needs_threshold: False for metrics of the scores themselves.
        help: one line.
    """

    name: str
    label: str
    direction: Direction
    needs_threshold: bool
    help: str


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "Accuracy", "max", True, "Fraction of all cells predicted correctly."),
        Metric("sensitivity", "Sensitivity", "max", True, "Fraction of the parasitized cells found (recall)."),
        Metric("specificity", "Specificity", "max", True, "Fraction of the uninfected cells predicted uninfected."),
        Metric(
            "ppv", "PPV", "max", True, "Fraction of the cells predicted parasitized that is parasitized (precision); depends on prevalence."
        ),
        Metric("npv", "NPV", "max", True, "Fraction of the cells predicted uninfected that is uninfected; depends on prevalence."),
        Metric("f1", "F1", "max", True, "Harmonic mean of sensitivity and PPV."),
        Metric("mcc", "MCC", "max", True, "Matthews correlation coefficient, -1 to 1."),
        Metric("auc", "AUC", "max", False, "Probability that a parasitized cell outscores an uninfected one (area under ROC)."),
        Metric("average_precision", "Average precision", "max", False, "Mean PPV over the steps in sensitivity (area under the PR curve)."),
        Metric("log_loss", "Log loss", "min", False, "Mean negative log-likelihood in nats, scores clipped at 1e-7."),
        Metric("brier", "Brier score", "min", False, "Mean squared difference of score and label."),
    )
}
_OTHER_NAMES = {
    "precision": "ppv",
    "recall": "sensitivity",
    "tpr": "sensitivity",
    "tnr": "specificity",
    "matthews": "mcc",
    "ap": "average_precision",
}


def rates(counts: Counts) -> dict[str, Any]:
    """Returns the metrics that need a threshold, by name, each of the counts' shape."""
    return {name: getattr(counts, name) for name, metric in METRICS.items() if metric.needs_threshold}


def compute(labels: np.ndarray, scores: np.ndarray, threshold: float, weights: np.ndarray | None = None) -> dict[str, float]:
    """Returns every metric of METRICS by name; nan where it is undefined.

    Args:
        labels: (N,), 1 = parasitized, 0 = uninfected.
        scores: (N,), probability of parasitized, in [0, 1].
        threshold: predicted parasitized if score >= threshold.
        weights: (N,), not negative; None for one each.
    """
    weights = np.ones(len(scores)) if weights is None else np.asarray(weights, dtype=np.float64)
    values = rates(count(labels, scores, threshold, weights))
    values["auc"], values["average_precision"] = Ranking(labels, scores).auc_and_average_precision(weights)
    for name, losses in zip(("log_loss", "brier"), cell_losses(labels, scores), strict=True):
        values[name] = _ratio(weights @ losses, weights.sum())
    return {name: float(values[name]) for name in METRICS}


def direction(name: str, path: str = "") -> Direction:
    """Returns which way is better for a metric of METRICS, the same with the prefix "val_", "val_loss" or "loss".

    Args:
        name: of the metric.
        path: its key in the config, for the message.

    Raises:
        ConfigError: the name is none of these. A direction is never guessed: a wrong guess would keep the worst model.
    """
    allowed: dict[str, Direction] = {"loss": "min", "val_loss": "min"}
    for metric in METRICS.values():
        allowed[metric.name] = allowed[f"val_{metric.name}"] = metric.direction
    if name not in allowed:
        bare = name.removeprefix("val_").lower()
        known = _OTHER_NAMES.get(bare)
        prefix = "val_" if name.startswith("val_") else ""
        hint = f" '{bare}' is called '{prefix}{known}' here." if known else did_you_mean(name, allowed)
        where = f"{path}: unknown" if path else "Unknown"
        raise ConfigError(
            f"{where} metric '{name}'.{hint} Allowed: val_loss, loss, and with or without 'val_' in front: {', '.join(METRICS)}."
        )
    return allowed[name]


def _checked(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if labels.shape != scores.shape or labels.ndim != 1 or not len(labels):
        raise ValueError(f"Expected labels and scores of one shape (N,), N > 0. Received: {labels.shape} and {scores.shape}")
    if not (np.isin(labels, (0, 1)).all() and np.isfinite(scores).all()):
        raise ValueError("Expected labels 0 and 1 and finite scores.")
    return labels, scores
