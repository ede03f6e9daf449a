"""Calibration: a map from logits to logits that is fitted to validation cells once, so that scores are probabilities."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from malaria_exp.evaluation.logit_map import LogitMap
from malaria_exp.utils.errors import ConfigError

# What the options of the group `calibration` build: logits float64 (N,) and labels (N,) of both classes to the map. A ConfigError says
# that no increasing map fits them.
FitCalibration = Callable[[np.ndarray, np.ndarray], LogitMap]
NONE = "none"


@dataclass(frozen=True)
class Calibration:
    """How the scores of a model are calibrated.

    Attributes:
        name: the option that fitted it; "none" if nothing was fitted.
        map: from the model's logits to calibrated ones.
        note: for the report, why nothing could be fitted; empty otherwise.
    """

    name: str = NONE
    map: LogitMap = field(default_factory=LogitMap)
    note: str = ""

    @property
    def words(self) -> str:
        """What it does, for people."""
        logits, slope = self.map.logits, self.map.slope
        if len(logits) > 1:
            return f"{self.name}: {len(logits)} knots between the logits {logits[0]:.3g} and {logits[-1]:.3g}"
        shift = self.map.calibrated[0] - slope * logits[0]
        return f"{self.name}: logit times {slope:.4g}" + (f" {shift:+.4g}" if shift else "")


def fit_calibration(name: str, fit: FitCalibration, logits: np.ndarray, labels: np.ndarray) -> Calibration:
    """Fits a calibration to validation cells; where that is not possible, it is "none", with a note that says why.

    Every cell weighs the same, also where patients count alike in the training: evaluation, too, counts cells.

    Args:
        name: of the option.
        fit: what the option built.
        logits: of the model, (N,).
        labels: (N,), 1 = parasitized, 0 = uninfected.
    """
    if name == NONE:
        return Calibration()
    logits, labels = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    if not np.isfinite(logits).all():
        reason = "a logit is not finite"
    elif len(np.unique(labels)) < 2:
        reason = "the validation cells are of one class"
    elif np.ptp(np.float32(logits)) == 0:
        reason = "all validation cells have the same score"
    else:
        try:
            return Calibration(name, fit(logits, labels))
        except ConfigError:
            reason = "no increasing map of its kind brings the validation cells' scores closer to their labels"
    return Calibration(note=f"The scores are not calibrated ({name} could not be fitted): {reason}.")
