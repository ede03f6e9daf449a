"""A model that is used: what is known of it, and the scores it gives new cells, whatever runtime computes them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from malaria_exp.data.resize import ResizeRule
from malaria_exp.evaluation.shift import Shift, ShiftReference
from malaria_exp.evaluation.thresholds import Threshold

# Of the exported models: what they take, and what they give.
INPUT, LOGIT, SCORE, OOD = "images", "logit", "score", "ood"


@dataclass(frozen=True)
class OodFacts:
    """What is known of a detector of cells that do not look like the training data (out of distribution, OOD).

    Attributes:
        name: option of the group `ood`.
        parts: what it looks at, in words; an OOD score each. A score above 1 means: not like the training data in this.
        false_warnings: fraction of cells of validation patients, left out of its fitting, that any part warns of.
        shift: how patients' cells differ, for what is said of many cells together; None if that is not known.
    """

    name: str
    parts: tuple[str, ...]
    false_warnings: float | None
    shift: ShiftReference | None = None

    def together(self, log_sums: np.ndarray, count: int) -> Shift | None:
        """Tells whether cells, taken together, look like those of a patient of the training data; None if nothing is known of that.

        Args:
            log_sums: sums of their `log_scores`, (P,).
            count: number of cells, at least 1.
        """
        return self.shift.test_mean(log_sums / count, count, self.parts) if self.shift else None


@dataclass(frozen=True)
class ModelFacts:
    """What a user of a model has to know, from model.json.

    Attributes:
        folder: the run folder or the bundle.
        rule: how images are resized for the model.
        classes: names of the classes 0 and 1.
        thresholds: by name; the first is the one that is shown.
        ood: the detector of foreign cells; None without one.
        record: model.json.
    """

    folder: Path
    rule: ResizeRule
    classes: tuple[str, str]
    thresholds: dict[str, Threshold]
    ood: OodFacts | None
    record: dict[str, Any]

    def predicted(self, score: float) -> dict[str, str]:
        """Returns the class that is predicted at each threshold, of a cell with this score."""
        return {name: self.classes[score >= threshold.value] for name, threshold in self.thresholds.items()}


@dataclass(frozen=True)
class CellScores:
    """What a model says of N cells.

    Attributes:
        score: the calibrated probability of parasitized, float64 (N,) in [0, 1].
        ood: OOD scores, float64 (N, P), of the P parts of `ModelFacts.ood`; above 1 a part warns. P is 0 without a detector.
    """

    score: np.ndarray
    ood: np.ndarray


class DeployedModel(Protocol):
    """A model ready for use: of a run folder on TensorFlow, or of a bundle on another runtime."""

    facts: ModelFacts

    def __call__(self, images: np.ndarray) -> CellScores:
        """Scores cells.

        Args:
            images: RGB, uint8 (N, size, size, 3), as `malaria_exp.data.resize.resize` makes them; N is at least 1, and free.
        """
