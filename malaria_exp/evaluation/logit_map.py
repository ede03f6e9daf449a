"""The map from a model's logit to the calibrated one: numbers alone, so that it is stored, checked and applied without the code that fitted it."""

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np

from malaria_exp.config.validation import Range
from malaria_exp.utils.errors import ConfigError

# Far beyond what a calibration needs; within them all arithmetic is finite, also in float32.
Logit = Annotated[float, Range(low=-1e6, high=1e6)]
Slope = Annotated[float, Range(low=1e-6, high=1e6)]
MOST_KNOTS = 10_000


@dataclass(frozen=True)
class LogitMap:
    """A strictly increasing map of logits: straight lines between knots, and one slope before the first and after the last knot.

    One knot and a slope are a straight line: slope * logit + intercept has the knot (0, intercept). As it is strictly increasing, it keeps
    the ranking of cells.

    Attributes:
        logits: of the model, one a knot, each at least float32's resolution above the one before.
        calibrated: what these logits become, each above the one before.
        slope: beyond the knots.

    Raises:
        ConfigError: the numbers are not finite or too large, or the map would not be increasing.
    """

    logits: list[Logit] = field(default_factory=lambda: [0.0])
    calibrated: list[Logit] = field(default_factory=lambda: [0.0])
    slope: Slope = 1.0

    def __post_init__(self) -> None:
        if not 1 <= len(self.logits) == len(self.calibrated) <= MOST_KNOTS:
            raise ConfigError(
                f"calibration: expected 1 to {MOST_KNOTS:,} knots, each with a logit and a calibrated one. Received {len(self.logits)} logits"
                f" and {len(self.calibrated)} calibrated ones."
            )
        numbers = [*self.logits, *self.calibrated, self.slope]
        rising = (
            (np.diff(np.array(self.logits, np.float32)) > 0).all() and (np.diff(self.calibrated) > 0).all() and 1e-6 <= self.slope <= 1e6
        )
        if not (rising and np.isfinite(numbers).all() and np.abs(numbers).max() <= 1e6):
            raise ConfigError(
                "calibration: expected finite logits, calibrated ones and a slope up to a million, each knot above the one before, so that the"
                " order of cells is kept."
            )

    @property
    def identity(self) -> bool:
        """Whether it changes nothing."""
        return self.logits == self.calibrated and self.slope == 1

    def __call__(self, logits: np.ndarray) -> np.ndarray:
        """Returns the calibrated logits, float64 (N,), of logits (N,)."""
        logits = np.asarray(logits, dtype=np.float64)
        if self.identity:
            return logits
        beyond = np.minimum(logits - self.logits[0], 0) + np.maximum(logits - self.logits[-1], 0)
        return np.asarray(np.interp(logits, self.logits, self.calibrated) + self.slope * beyond)
