"""Temperature scaling (Guo et al. 2017, https://arxiv.org/abs/1706.04599)."""

import numpy as np

from malaria_exp.config.registry import register
from malaria_exp.evaluation.calibration import FitCalibration
from malaria_exp.evaluation.logit_map import LogitMap
from malaria_exp.utils.errors import ConfigError

# Of the logarithm of the scale: the range that is searched, and the standard deviation of a prior around 0. The prior holds the scale finite
# where a few cells are separated without error; against hundreds of cells it does not count.
SEARCHED, PRIOR = (-7.0, 7.0), 1.0


@register("calibration", "temperature")
def temperature() -> FitCalibration:
    """Multiplies the logit by one scale (1 / temperature) of least log loss on the validation cells; a score of .5 stays .5."""

    def fit(logits: np.ndarray, labels: np.ndarray) -> LogitMap:
        from scipy.optimize import minimize_scalar

        right = np.where(labels == 1, logits, -logits)
        # The log loss falls from a scale of 0 on only if the logits lie on the right side on average.
        if right.mean() <= 0:
            raise ConfigError("calibration.temperature: no scale above 0 fits.")

        def loss(log_scale: float) -> float:
            return float(np.logaddexp(0, -np.exp(log_scale) * right).sum() + np.square(log_scale / PRIOR) / 2)

        found = minimize_scalar(loss, bounds=SEARCHED, method="bounded", options={"xatol": 1e-9})
        return LogitMap(slope=float(np.exp(found.x)))

    return fit
