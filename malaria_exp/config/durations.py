"""Lengths of training in any unit: steps, epochs, examples, or percent of the run."""

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from malaria_exp.config.validation import DURATION


@dataclass(frozen=True)
class RunLength:
    """How long a run is.

    Attributes:
        epochs: passes over the training cells.
        steps_per_epoch: batches in an epoch that holds all cells.
        batch_size: cells in a batch.
        whole_epochs: how many epochs hold all cells, before they get shorter; None: all of them.
        later_steps: batches in each epoch after those.
    """

    epochs: int
    steps_per_epoch: int
    batch_size: int
    whole_epochs: int | None = None
    later_steps: int = 0

    @property
    def steps(self) -> int:
        """Batches in the whole run."""
        return self.steps_before(self.epochs)

    def steps_before(self, epoch: int) -> int:
        """Returns the batches in all epochs before this one, counted from 0."""
        return int(self.steps_at(epoch))

    def steps_in(self, epoch: int) -> int:
        """Returns the batches in an epoch, counted from 0."""
        return self.steps_before(epoch + 1) - self.steps_before(epoch)

    def steps_at(self, epochs: Any) -> Any:
        """Returns how many steps are done after so many epochs, a number or an array."""
        whole = epochs if self.whole_epochs is None else np.minimum(epochs, self.whole_epochs)
        return whole * self.steps_per_epoch + (epochs - whole) * self.later_steps

    def epochs_at(self, steps: Any) -> Any:
        """Returns how many epochs are done after so many steps, a number or an array."""
        whole = steps if self.whole_epochs is None else np.minimum(steps, self.whole_epochs * self.steps_per_epoch)
        return whole / self.steps_per_epoch + (steps - whole) / max(self.later_steps, 1)

    def describe(self) -> str:
        """Returns it in words."""
        text = f"{self.epochs:,} epochs of {self.steps_per_epoch:,} steps"
        if self.whole_epochs is None or self.whole_epochs >= self.epochs:
            return text
        return f"{text}, of {self.later_steps:,} after epoch {self.whole_epochs}"

    def part(self, first: int, epochs: int) -> "RunLength":
        """Returns the length of a part of the run: `epochs` from epoch `first` on."""
        return replace(self, epochs=epochs, whole_epochs=None if self.whole_epochs is None else max(self.whole_epochs - first, 0))

    def in_steps(self, duration: str) -> int:
        """Returns a duration such as "10%", "2 epochs", "300 steps" or "5000 examples" in steps, rounded, at most the run."""
        return min(self.unbounded_steps(duration), self.steps)

    def unbounded_steps(self, duration: str) -> int:
        """Returns a duration in steps, rounded, also if it is longer than the run."""
        match = re.fullmatch(DURATION, duration)
        if match is None:
            raise ValueError(f"Expected a length with its unit. Received: {duration!r}")
        value, unit = float(match[1]), match[2]
        if unit.startswith("epoch"):
            return round(float(self.steps_at(value)))
        return round(value * {"%": self.steps / 100, "s": 1.0, "e": 1 / self.batch_size}[unit[0]])
