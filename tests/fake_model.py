"""A model for tests that need none: the redder a cell, the higher its score; bright ones look like nothing it has seen."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from malaria_exp.data.cell_table import CLASS_NAMES
from malaria_exp.data.resize import ResizeRule
from malaria_exp.deployment.deployed_model import CellScores, ModelFacts, OodFacts
from malaria_exp.evaluation.shift import ShiftReference
from malaria_exp.evaluation.thresholds import Threshold

PARTS = ("brightness", "size")
# Thirty patients whose cells are about as dark as those of the tests.
SHIFT = ShiftReference([-1.5, -7.0], [0.1, 0.1], [0.1, 0.1], [float(number) / 10 for number in range(30)])


class FakeModel:
    """See `malaria_exp.deployment.deployed_model.DeployedModel`."""

    def __init__(self, folder: Path, *, ood: bool = True, guard: Sequence[str] = ()) -> None:
        thresholds = {"fixed": Threshold(0.5, "given"), "target_sensitivity": Threshold(0.25, "chosen")}
        (folder / "model.json").write_text(json.dumps({"fake": True}))
        self.facts = ModelFacts(
            folder,
            ResizeRule(8, "pad"),
            CLASS_NAMES,
            thresholds,
            OodFacts("knn", PARTS, 0.04, SHIFT) if ood else None,
            {"models": [], "guard": list(guard)},
        )
        self.batches: list[int] = []

    def __call__(self, images: np.ndarray) -> CellScores:
        self.batches.append(len(images))
        assert images.dtype == np.uint8 and images.shape[1:] == (8, 8, 3)
        bright = images.mean(axis=(1, 2, 3)) / 200
        ood = np.stack([bright, np.zeros(len(images))], axis=1) if self.facts.ood else np.zeros((len(images), 0))
        # A model's last bits depend on the size of its batch.
        return CellScores(images[..., 0].mean(axis=(1, 2)) / 255 + len(images) * 1e-12, ood)
