"""Lengths of training in any unit: steps, epochs, examples, or percent of the run."""

import re
from dataclasses import dataclass

from malaria_exp.config.validation import DURATION


@dataclass(frozen=True)
class RunLength:
    """How long a run is.

    Attributes:
        epochs: passes over the training cells.
        steps_per_epoch: batches in an epoch.
        batch_size: cells in a batch.
    """

    epochs: int
    steps_per_epoch: int
    batch_size: int

    @property
    def steps(self) -> int:
        """Batches in the whole run."""
        return self.epochs * self.steps_per_epoch

    def in_steps(self, duration: str) -> int:
        """Returns a duration such as "10%", "2 epochs", "300 steps" or "5000 examples" in steps, rounded, at most the run."""
        return min(self.unbounded_steps(duration), self.steps)

    def unbounded_steps(self, duration: str) -> int:
        """Returns a duration in steps, rounded, also if it is longer than the run."""
        match = re.fullmatch(DURATION, duration)
        if match is None:
            raise ValueError(f"Expected a length with its unit. Received: {duration!r}")
        value = float(match[1])
        scale = {"%": self.steps / 100, "s": 1.0, "e": float(self.steps_per_epoch), "x": 1 / self.batch_size}
        unit = "x" if match[2].startswith("ex") else match[2][0]
        return round(value * scale[unit])
