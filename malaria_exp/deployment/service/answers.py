"""What the service answers, as its OpenAPI description says it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from malaria_exp.deployment.deployed_model import ModelFacts
from malaria_exp.deployment.score_images import ImageScore
from malaria_exp.deployment.service.limits import FILE_BYTES, PIXELS, REQUEST_BYTES, Limits, ServiceError
from malaria_exp.evaluation.shift import log_scores

USE = "For research use only. Not for diagnosis, and not a medical device."
# What /model shows of model.json: counts and hashes, nothing of single cells or patients.
SHOWN = ("model", "parameters", "calibration", "training_data", "split_hash", "versions")


class CellAnswer(BaseModel):
    """What is found of one image."""

    file: str = Field(description="Base name of the file.")
    score: float | None = Field(description="Calibrated probability of parasitized, 0 to 1; null for a file that cannot be used.")
    predicted: dict[str, str] | None = Field(description="Class predicted at each threshold.")
    looks_like_training_data: bool | None = Field(description="null if the model has no detector of foreign images.")
    why_not: list[str] = Field(description="In which respects it does not look like the training data.")
    error: str | None = Field(description="Why the file cannot be used.")


class PredictAnswer(BaseModel):
    """What is found of the images of a request, in their order."""

    use: str = Field(description="What the answer may be used for.")
    model: str = Field(description="Hash of the model, as in /model.")
    cells: list[CellAnswer]
    together: str | None = Field(
        description="Whether the cells of this request, taken for one patient's, look like those of a patient of the training data; in words."
    )
    ood_log_sums: list[float] | None = Field(description="Sums over the scored cells, for /together; null as `together`.")


class TogetherAnswer(BaseModel):
    """Whether cells, taken for one patient's, look like those of a patient of the training data."""

    verdict: str | None = Field(description="foreign, known or cannot tell; null if the model knows nothing of that.")
    words: str | None = Field(description="The same in a sentence.")


class ThresholdAnswer(BaseModel):
    """A cell is predicted parasitized if its score is at least the value."""

    value: float
    rule: str


class OodAnswer(BaseModel):
    """The detector of images that do not look like the training data."""

    name: str
    parts: list[str]
    false_warnings: float | None = Field(description="Fraction of cells of validation patients that it warns of.")


class ModelAnswer(BaseModel):
    """The model that is served."""

    use: str
    hash: str = Field(description="SHA-256 of the model's file.")
    classes: list[str]
    thresholds: dict[str, ThresholdAnswer]
    ood: OodAnswer | None
    input: dict[str, Any] = Field(description="How images are prepared.")
    explanation: str = Field(description="How the maps of /explain are read.")
    limits: dict[str, float] = Field(description="What a request may bring.")
    record: dict[str, Any] = Field(description="What is known of the model: its kind, calibration, training data by counts and hashes.")


class ErrorAnswer(BaseModel):
    """Why a request was refused."""

    error: str


class State(BaseModel):
    """A sign of life."""

    status: str


CELL = {
    "file": "cell.png",
    "score": 0.9812,
    "predicted": {"fixed": "parasitized"},
    "looks_like_training_data": True,
    "why_not": [],
    "error": None,
}
FOREIGN = CELL | {"file": "photo.jpg", "looks_like_training_data": False, "why_not": ["stain"]}
BAD = dict.fromkeys(CELL) | {"file": "notes.txt", "why_not": [], "error": "not a PNG, JPEG, TIFF, BMP or WebP image (812 bytes)"}
TOGETHER = "As a whole, the 2 cells look like a patient's of the training data (p = 0.41, 90 patients compared)."
EXAMPLE = {
    "use": USE,
    "model": "3f79bb7b435b05321651daefd374cdc681dc06faa65e374e38337b88ca046dea",
    "cells": [CELL, FOREIGN, BAD],
    "together": TOGETHER,
    "ood_log_sums": [-2.31, -4.02],
}


def cell_answer(facts: ModelFacts, file: str, found: ImageScore) -> dict[str, Any]:
    """Returns a `CellAnswer` as plain values."""
    score = found.score
    return {
        "file": file,
        "score": score,
        "predicted": None if score is None else facts.predicted(score),
        "looks_like_training_data": None if score is None or found.warnings is None else not found.warnings,
        "why_not": list(found.warnings or ()),
        "error": found.error or None,
    }


def predict_answer(facts: ModelFacts, digest: str, cells: list[dict[str, Any]], found: Sequence[ImageScore]) -> dict[str, Any]:
    """Returns a `PredictAnswer` of the answers for its cells as plain values."""
    scores = [one.ood for one in found if one.ood]
    sums = log_scores(np.array(scores)).sum(axis=0) if scores else np.zeros(0)
    shift = facts.ood.together(sums, len(scores)) if facts.ood and scores else None
    said = {"together": shift.words, "ood_log_sums": sums.tolist()} if shift else dict.fromkeys(("together", "ood_log_sums"))
    return {"use": USE, "model": digest, "cells": cells, **said}


def together_answer(facts: ModelFacts, log_sums: Sequence[float], count: int) -> dict[str, Any]:
    """Returns a `TogetherAnswer` as plain values.

    Args:
        facts: of the model.
        log_sums: sums over the cells of the requests, one a part of the detector.
        count: number of the cells, at least 1.

    Raises:
        ServiceError: these are no such sums.
    """
    parts = len(facts.ood.parts) if facts.ood else 0
    if len(log_sums) != parts:
        raise ServiceError(400, f"log_sums: expected {parts} numbers, one a part of the model's detector; received {len(log_sums)}.")
    shift = facts.ood.together(np.array(log_sums), count) if facts.ood else None
    return {"verdict": shift.verdict, "words": shift.words} if shift else dict.fromkeys(TogetherAnswer.model_fields)


def model_answer(facts: ModelFacts, digest: str, limits: Limits, meaning: str) -> dict[str, Any]:
    """Returns a `ModelAnswer` as plain values; `meaning` says how maps are read."""
    ood = facts.ood
    return {
        "use": USE,
        "hash": digest,
        "classes": list(facts.classes),
        "thresholds": {name: {"value": threshold.value, "rule": threshold.rule} for name, threshold in facts.thresholds.items()},
        "ood": {"name": ood.name, "parts": list(ood.parts), "false_warnings": ood.false_warnings} if ood else None,
        "input": facts.rule.to_dict(),
        "explanation": meaning,
        "limits": {"request_bytes": REQUEST_BYTES, "file_bytes": FILE_BYTES, "pixels": PIXELS, "cells": limits.cells},
        "record": {key: facts.record[key] for key in SHOWN if key in facts.record},
    }
