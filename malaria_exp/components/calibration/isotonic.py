"""Isotonic regression (Zadrozny and Elkan 2002, "Transforming classifier scores into accurate multiclass probability estimates", KDD)."""

import numpy as np

from malaria_exp.config.registry import register
from malaria_exp.evaluation.calibration import FitCalibration
from malaria_exp.evaluation.logistic_fit import smoothed_targets
from malaria_exp.evaluation.logit_map import LogitMap


@register("calibration", "isotonic")
def isotonic() -> FitCalibration:
    """Fits any increasing map to the validation cells; needs many of them, a thousand and more.

    Isotonic regression makes steps, on which cells of different scores would become equal. Here straight lines, on logits, lead from the
    middle of a step to that of the next, and beyond the outer ones on with their mean slope, so that the ranking of cells stays. Platt's
    smoothed targets keep every step away from 0 and 1.
    """

    def fit(logits: np.ndarray, labels: np.ndarray) -> LogitMap:
        from sklearn.isotonic import IsotonicRegression

        found = IsotonicRegression().fit_transform(logits, smoothed_targets(labels))
        steps, number = np.unique(found.round(12), return_inverse=True)
        middles = np.bincount(number, weights=logits) / np.bincount(number)
        calibrated = np.log(steps) - np.log1p(-steps)
        # Knots that float32 cannot tell apart count as one.
        kept = np.append(True, np.diff(np.float32(middles)) > 0)
        middles, calibrated = middles[kept], calibrated[kept]
        slope = np.ptp(calibrated) / np.ptp(middles) if len(middles) > 1 else 0.0
        return LogitMap(middles.tolist(), calibrated.tolist(), float(slope))

    return fit
