"""What a run's views are averaged in, follows from its saved model."""

import json

import keras
import numpy as np

from malaria_exp.deployment.open_model import open_model
from malaria_exp.evaluation.predictions import read, sigmoid
from malaria_exp.runs.saved_model import load_model


def test_scores_calibration_and_saved_models_are_those_of_all_views(finished_run, run_task, tiny_cellnet, tmp_path):
    untrained = [item for item in tiny_cellnet if not item.startswith("trainer.")]
    asked = [*untrained, "trainer=none", f"init_from={finished_run}", "evaluation.views=4"]
    folder = run_task(asked, tmp_path / "run")
    assert json.loads((folder / "model.json").read_text())["views"] == 4
    found, one_view = read(folder / "predictions.csv"), read(finished_run / "predictions.csv")
    assert found.cell_id.tolist() == one_view.cell_id.tolist() and np.abs(found.score - one_view.score).max() > 1e-3
    # Uneven images show whether a model looks from all sides.
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    saved = load_model(folder)
    flips = [images[:, y, x] for y in (slice(None), slice(None, None, -1)) for x in (slice(None), slice(None, None, -1))]
    bare = load_model(finished_run).uncalibrated
    logits = np.mean([bare(flip.astype(np.float32) / 255) for flip in flips], axis=0)[:, 0]
    expected = sigmoid(saved.calibration.map(logits.astype(np.float64)))
    for score in (
        sigmoid(np.asarray(saved.model(images.astype(np.float32) / 255), np.float64)[:, 0]),
        sigmoid(np.asarray(keras.saving.load_model(folder / "model.keras")(images.astype(np.float32) / 255), np.float64)[:, 0]),
        open_model(folder)(images).score,
    ):
        np.testing.assert_allclose(score, expected, atol=1e-5)
    # The views are the run's, whatever the configuration says now.
    again = run_task(["task=evaluate", f"run={folder}", "evaluation.resamples=20"], tmp_path / "again")
    np.testing.assert_array_equal(read(again / "predictions.csv").score, found.score)
