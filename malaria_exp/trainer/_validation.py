"""Validation at an epoch's end: exact metrics over all validation cells, by the functions that judge the finished run."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from malaria_exp.evaluation.metrics import compute
from malaria_exp.evaluation.thresholds import HALF
from malaria_exp.logger._base import Row
from malaria_exp.scoring import Scorer, sigmoid
from malaria_exp.trainer._base import Parts

if TYPE_CHECKING:
    import keras


def validate(model: "keras.Model", parts: Parts) -> Callable[[], Row]:
    """Returns a function that scores the validation cells and returns val_loss and every metric at threshold .5, prefixed val_.

    val_loss is the training loss on validation cells, without the penalties on weights; val_log_loss has no label smoothing.
    """
    scorer = Scorer(model, parts.eval_batch_size)
    labels = parts.val.labels

    def run() -> Row:
        logits = scorer.logits(parts.val)
        loss = float(parts.loss(labels[:, None].astype(np.float32), logits[:, None].astype(np.float32)))
        return {"val_loss": loss} | {f"val_{name}": float(value) for name, value in compute(labels, sigmoid(logits), HALF).items()}

    return run
