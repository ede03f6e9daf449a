"""Validation at an epoch's end: exact metrics over all validation cells, by the functions that evaluate the finished run."""

from typing import TYPE_CHECKING

import numpy as np

from malaria_exp.evaluation.metrics import METRICS, compute
from malaria_exp.evaluation.predictions import sigmoid
from malaria_exp.evaluation.thresholds import HALF
from malaria_exp.training.trainer_interface import TrainerInputs
from malaria_exp.utils.rows import Row

if TYPE_CHECKING:
    import keras


def own_metrics(inputs: TrainerInputs) -> list["keras.metrics.Metric"]:
    """Returns the run's own metrics, which evaluation does not compute, built for the validation cells."""
    return [metric for metric in inputs.build_metrics() if metric.name not in METRICS]


def validation_row(inputs: TrainerInputs, logits: np.ndarray, metrics: list["keras.metrics.Metric"]) -> Row:
    """Returns val_loss and every metric at threshold .5, prefixed val_.

    val_loss is the training loss on validation cells, without the penalties on weights; val_log_loss has no label smoothing.

    Args:
        inputs: of the training.
        logits: of the validation cells, (N,).
        metrics: of labels (B, 1) and logits (B, 1), computed in addition to evaluation's.
    """
    labels = inputs.val.labels
    columns = labels[:, None].astype(np.float32), logits[:, None].astype(np.float32)
    row = {"val_loss": float(inputs.loss(*columns))}
    row |= {f"val_{name}": float(value) for name, value in compute(labels, sigmoid(logits), HALF).items()}
    for metric in metrics:
        metric.reset_state()
        metric.update_state(*columns)
        row[f"val_{metric.name}"] = float(metric.result())
    return row
