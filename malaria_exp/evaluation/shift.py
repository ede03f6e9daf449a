"""Do the cells of a batch, taken together, look like those of a patient of the training data?

Each patient's cells differ somewhat from everyone else's, so a batch is compared with patients, not with a pool of cells. Its false alarms
are bounded by ranks, without assumptions on how patients differ (a conformal p-value: Vovk et al. 2005, "Algorithmic Learning in a Random
World"): a new patient like those before is the most unusual of n + 1 with a chance of 1 / (n + 1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from malaria_exp.config.validation import NonNegative, Range, check_dataclass
from malaria_exp.utils.errors import ConfigError

# A batch differs if the p-value is at most this: the chance of a false alarm.
ALPHA = 0.05
# Logarithms of OOD scores are held in these bounds, so that a few wild images do not outweigh all others.
LOWEST, HIGHEST = -7.0, 3.0
LOOKS_FOREIGN, LOOKS_KNOWN, CANNOT_TELL = "foreign", "known", "cannot tell"
Number = Annotated[float, Range(low=-1e6, high=1e6)]


@dataclass(frozen=True)
class Shift:
    """What is said of a batch of cells.

    Attributes:
        verdict: "foreign", "known" or "cannot tell".
        p_value: chance that a new patient like those of the training data looks at least as unusual.
        part: the part of the detector in which the batch is most unusual.
        words: a sentence for people.
    """

    verdict: str
    p_value: float
    part: str
    words: str


@dataclass(frozen=True)
class ShiftReference:
    """What is known of how patients' cells differ, by part of the detector, in logarithms of OOD scores; it stands in model.json.

    Attributes:
        mean: of the patients' means, a number a part.
        between: their variance.
        within: variance of a patient's cells.
        unusual: how unusual each patient is among the others, ascending.
    """

    mean: list[Number]
    between: list[NonNegative]
    within: list[NonNegative]
    unusual: list[Number]

    def test(self, scores: np.ndarray, parts: Sequence[str]) -> Shift:
        """Tells whether a batch of cells looks like those of a patient of the training data.

        Cells of several patients are taken for one patient's: their mean varies less than a patient's, so false alarms are rarer still.

        Args:
            scores: OOD scores, (N, P), N at least 1.
            parts: the parts in words.
        """
        return self.test_mean(log_scores(scores).mean(axis=0), len(scores), parts)

    def test_mean(self, mean: np.ndarray, count: int, parts: Sequence[str]) -> Shift:
        """Tells the same of the mean over the cells, for cells that are not held together.

        Args:
            mean: of `log_scores` of the cells, (P,).
            count: number of cells, at least 1.
            parts: the parts in words.
        """
        found = _unusual(mean, count, np.array(self.mean), np.array(self.between), np.array(self.within), len(self.unusual))
        part, patients = parts[int(np.argmax(found))], len(self.unusual)
        p_value = (1 + sum(other >= found.max() for other in self.unusual)) / (patients + 1)
        cells, do, look = (f"{count:,} cells", "do", "look") if count > 1 else ("1 cell", "does", "looks")
        if p_value <= ALPHA:
            words = f"As a whole, the {cells} {do} not look like a patient's of the training data, least of all in {part}"
            return Shift(LOOKS_FOREIGN, p_value, part, f"{words} (p = {p_value:.3f}, {patients} patients compared).")
        if 1 / (patients + 1) > ALPHA:
            words = (
                f"Whether the {cells} as a whole {look} like the training data cannot be told: only {patients} patients to compare with."
            )
            return Shift(CANNOT_TELL, p_value, part, words)
        words = f"As a whole, the {cells} {look} like a patient's of the training data (p = {p_value:.2f}, {patients} patients compared)."
        return Shift(LOOKS_KNOWN, p_value, part, words)


def fit_shift(groups: Sequence[np.ndarray]) -> ShiftReference:
    """Returns what is known of how patients differ.

    Args:
        groups: OOD scores of each patient's cells, (cells, P); at least one patient.
    """
    logs = [log_scores(group) for group in groups]
    means = np.stack([group.mean(axis=0) for group in logs])
    within = np.mean([group.var(axis=0) for group in logs], axis=0)
    unusual = []
    for number, group in enumerate(logs):
        others = np.delete(means, number, axis=0) if len(means) > 1 else means
        unusual.append(float(_unusual(means[number], len(group), others.mean(axis=0), _variance(others), within, len(others)).max()))
    return ShiftReference(means.mean(axis=0).tolist(), _variance(means).tolist(), within.tolist(), sorted(unusual))


def read_shift(value: Any, where: str, parts: int) -> ShiftReference:
    """Returns a reference as `ShiftReference` stands in model.json; a ConfigError if it is damaged.

    Args:
        value: as it was read.
        where: the place of it, for messages.
        parts: of the detector.
    """
    found: ShiftReference = check_dataclass(where, value, ShiftReference)
    if {len(found.mean), len(found.between), len(found.within)} != {parts} or not found.unusual:
        raise ConfigError(f"{where}: expected numbers for each of {parts} parts, and at least one patient.")
    return found


def _variance(means: np.ndarray) -> np.ndarray:
    return np.asarray(means.var(axis=0, ddof=1) if len(means) > 1 else np.zeros(means.shape[1]))


def log_scores(scores: np.ndarray) -> np.ndarray:
    """Returns the logarithms of OOD scores within `LOWEST` and `HIGHEST`, of which batches are compared by their means."""
    return np.clip(np.log(np.nan_to_num(np.maximum(scores, 1e-12), nan=np.inf)), LOWEST, HIGHEST)


def _unusual(batch: np.ndarray, count: int, mean: np.ndarray, between: np.ndarray, within: np.ndarray, patients: int) -> np.ndarray:
    """Returns by how many standard deviations the mean of a batch is farther away than patients' are, (P,), its few cells considered."""
    spread = np.sqrt(between * (1 + 1 / patients) + within / count + 1e-6)
    return np.clip((batch - mean) / spread, -1e6, 1e6)
