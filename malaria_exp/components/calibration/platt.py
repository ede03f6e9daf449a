"""Platt scaling (Platt 1999, "Probabilistic outputs for support vector machines", Advances in Large Margin Classifiers, 61-74)."""

import numpy as np

from malaria_exp.config.registry import register
from malaria_exp.evaluation.calibration import FitCalibration
from malaria_exp.evaluation.logistic_fit import fit_logistic, smoothed_targets
from malaria_exp.evaluation.logit_map import LogitMap


@register("calibration", "platt")
def platt() -> FitCalibration:
    """Scales and shifts the logit, by a logistic regression on the validation cells with Platt's smoothed targets.

    The shift takes over the validation patients' fraction of parasitized cells, which other patients may not have.
    """

    def fit(logits: np.ndarray, labels: np.ndarray) -> LogitMap:
        # Centered and scaled, so that logits that are all large and nearly equal are told apart.
        center, spread = logits.mean(), logits.std()
        columns = np.stack([np.ones(len(logits)), (logits - center) / spread], axis=1)
        intercept, slope = fit_logistic(columns, smoothed_targets(labels)) / (1, spread)
        return LogitMap(calibrated=[float(intercept - slope * center)], slope=float(slope))

    return fit
