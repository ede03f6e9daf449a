"""What a prediction comes to: cells counted at each threshold, the parasitemia of each patient, and which images a page shows.

Everything is collected in one pass over the rows, and memory holds no more than the patients and the images that are shown.
"""

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal

import numpy as np

from malaria_exp.data.readers.names import parse_name
from malaria_exp.deployment.deployed_model import ModelFacts
from malaria_exp.deployment.predictions_file import PredictedImage
from malaria_exp.evaluation.intervals.limits import clopper_pearson
from malaria_exp.evaluation.shift import Shift, log_scores

# Whose cells the images are: told by their names in the NIH grammar, by their folders, or all of one patient's.
Patients = Literal["names", "folders", "one"]
# Reasons of bad files that are listed; predictions.csv has all.
MOST_ERRORS = 500
# Files of one patient go by this name where all are.
ONE_PATIENT = "the patient"


@dataclass
class Cells:
    """Counts of scored cells.

    Attributes:
        scored: number of them.
        foreign: of these, those that do not look like the training data.
        parasitized: by threshold, those that are predicted parasitized.
        log_sums: sums of `log_scores` of their OOD scores, one a part of the detector.
    """

    scored: int = 0
    foreign: int = 0
    parasitized: dict[str, int] = field(default_factory=dict)
    log_sums: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def add(self, image: PredictedImage, score: float, thresholds: Mapping[str, float]) -> None:
        """Counts a cell with its score."""
        self.scored += 1
        self.foreign += bool(image.foreign)
        if image.ood:
            self.log_sums = log_scores(np.array(image.ood)) + (self.log_sums if self.log_sums.size else 0.0)
        for name, value in thresholds.items():
            self.parasitized[name] = self.parasitized.get(name, 0) + (score >= value)


class Shown:
    """The images with the largest values, at most so many.

    Args:
        most: number of images.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._heap: list[tuple[float, int, PredictedImage]] = []

    def add(self, image: PredictedImage, value: float) -> None:
        """Considers an image; of equal values the first images count."""
        if self._most:
            (heapq.heappush if len(self._heap) < self._most else heapq.heappushpop)(self._heap, (value, -image.number, image))

    @property
    def images(self) -> list[PredictedImage]:
        """The images, the highest score first."""
        return sorted((image for *_, image in self._heap), key=lambda image: (-(image.score or 0), image.number))


class Counts:
    """Collects what a prediction comes to.

    Args:
        facts: of the model.
        patients: whose cells the images are.
        shown: number of images in each group that a page shows.

    Attributes:
        images: number of all.
        all: counts of the scored cells.
        of_patient: the same by patient, where the patient is known.
        trained_on: number of scored cells that the model was trained on; None if nothing is known of that.
        errors: number of images that cannot be used.
        listed: the first of them, (file, reason).
        shown: images by group: "high", "unsure", "low" and "foreign". Only the last one holds images that do not look like the training data.
    """

    def __init__(self, facts: ModelFacts, patients: Patients, shown: int) -> None:
        self._thresholds = {name: threshold.value for name, threshold in facts.thresholds.items()}
        self._ood = facts.ood
        self._patient_of = _patient_of(patients)
        self.images = self.errors = 0
        self.trained_on: int | None = None
        self.all = Cells()
        self.of_patient: dict[str, Cells] = {}
        self.listed: list[tuple[str, str]] = []
        self.shown = {name: Shown(shown) for name in ("high", "unsure", "low", "foreign")}

    def add(self, image: PredictedImage) -> None:
        """Counts an image."""
        self.images += 1
        if image.score is None:
            self.errors += 1
            if len(self.listed) < MOST_ERRORS:
                self.listed.append((image.file, image.error))
            return
        self.all.add(image, image.score, self._thresholds)
        if image.trained_on is not None:
            self.trained_on = (self.trained_on or 0) + image.trained_on
        if patient := self._patient_of(image.file):
            self.of_patient.setdefault(patient, Cells()).add(image, image.score, self._thresholds)
        first = next(iter(self._thresholds.values()))
        values = {"high": image.score, "unsure": -abs(image.score - first), "low": -image.score}
        for name, value in ({"foreign": image.score} if image.foreign else values).items():
            self.shown[name].add(image, value)

    def together(self, cells: Cells) -> Shift | None:
        """Tells whether the cells, taken together, look like a patient's of the training data; None if nothing is known of that."""
        return self._ood.together(cells.log_sums, cells.scored) if self._ood and cells.log_sums.size else None


def parasitemia(counts: Counts, confidence: float, rates: Mapping[str, tuple[float, float]]) -> list[dict[str, Any]]:
    """Returns a row for each patient and threshold: the fraction of cells that is predicted parasitized, with its exact interval.

    The cells of one patient are independent draws from this patient's blood, so their number is binomial and needs no other patients. The
    interval says what more cells of the patient would show the model, not how right the model is.

    Args:
        counts: of the prediction.
        confidence: level of the intervals.
        rates: by threshold, sensitivity and specificity of the model on patients it was not trained on, for `corrected_fraction`.
    """
    rows = []
    for patient, cells in sorted(counts.of_patient.items()):
        together = counts.together(cells)
        for name, hits in cells.parasitized.items():
            low, high = clopper_pearson(hits, cells.scored - hits, confidence)
            fraction = hits / cells.scored
            rows.append(
                {
                    "patient": patient,
                    "threshold": name,
                    "cells": cells.scored,
                    "parasitized": hits,
                    "fraction": fraction,
                    "low": float(low),
                    "high": float(high),
                    "corrected": corrected_fraction(fraction, *rates[name]) if name in rates else None,
                    "foreign": cells.foreign,
                    "together": together.verdict if together else None,
                    "p_value": together.p_value if together else None,
                }
            )
    return rows


def corrected_fraction(fraction: float, sensitivity: float, specificity: float) -> float | None:
    """Returns the fraction of parasitized cells behind a fraction predicted, in [0, 1]; None if the model tells the classes apart no better than chance.

    Of p parasitized cells the model finds p * sensitivity and adds (1 - p) * (1 - specificity): solved for p (Rogan and Gladen 1978,
    https://doi.org/10.1093/oxfordjournals.aje.a112510). It holds as far as the two rates hold for these cells.

    Args:
        fraction: predicted parasitized, in [0, 1].
        sensitivity: in [0, 1].
        specificity: in [0, 1].
    """
    better = sensitivity + specificity - 1
    return min(max((fraction + specificity - 1) / better, 0.0), 1.0) if better > 0 else None


def _patient_of(patients: Patients) -> Callable[[str], str | None]:
    def by_name(file: str) -> str | None:
        parts = parse_name(PurePosixPath(file).stem)
        return parts.patient if parts else None

    def by_folder(file: str) -> str | None:
        return file.rpartition("/")[0] or None

    return {"names": by_name, "folders": by_folder, "one": lambda _: ONE_PATIENT}[patients]
