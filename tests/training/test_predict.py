import numpy as np
import pytest

from malaria_exp.config.registry import build
from malaria_exp.data.pixel_cache import open_pixel_cache
from malaria_exp.data.resize import ResizeRule
from malaria_exp.data.subsets import Data
from malaria_exp.evaluation.logit_map import LogitMap
from malaria_exp.evaluation.predictions import sigmoid
from malaria_exp.training.predict import Scorer, predict
from malaria_exp.utils.errors import DataError


@pytest.fixture(scope="module")
def data(cache_root):
    table = build("dataset", "synthetic", {"infected_patients": 8, "healthy_patients": 3, "cells_per_patient": 8, "cell_size": 40})
    return Data(build("split", "patient_holdout", {}, table), open_pixel_cache(table, ResizeRule(32, "pad"), cache_root))


@pytest.fixture(scope="module")
def model():
    return build("model", "cellnet", {"image_size": 32, "stem": 4, "widths": [8]})


def test_every_cell_is_scored_once_whatever_the_batch_and_as_the_model_does(data, model):
    cells = data.open("test", "test")
    whole = Scorer(model, len(cells)).logits(cells)
    assert whole.shape == (len(cells),)
    for batch_size in (1, 3, len(cells) - 1, len(cells) + 5):
        np.testing.assert_allclose(Scorer(model, batch_size).logits(cells), whole, rtol=1e-5, atol=1e-6)
    cells = data.open("val", "test")
    logits = model(cells.images().astype(np.float32) / 255, training=False).numpy()[:, 0]
    np.testing.assert_allclose(Scorer(model, 7).logits(cells), logits, rtol=1e-4, atol=1e-5)


def test_predictions_carry_the_manifests_rows(data, model):
    subsets = [data.open(name, "test") for name in ("val", "test")]
    found, uncalibrated = predict(Scorer(model), data.manifest, subsets, LogitMap(calibrated=[-1.0], slope=2.0))
    np.testing.assert_array_equal(uncalibrated, np.concatenate([sigmoid(Scorer(model).logits(cells)) for cells in subsets]))
    before, after = (np.log(scores / (1 - scores)) for scores in (uncalibrated, found.score))
    np.testing.assert_allclose(after, 2 * before - 1, rtol=1e-6, atol=1e-9)
    where = {cell: row for row, cell in enumerate(data.manifest.cell_id.tolist())}
    for row, cell in enumerate(found.cell_id.tolist()):
        assert data.manifest.patient[where[cell]] == found.patient[row]
        assert data.manifest.label[where[cell]] == found.label[row]
        assert data.manifest.subset[where[cell]] == found.subset[row]
    assert len(found) == len(data.manifest.rows("val")) + len(data.manifest.rows("test"))


def test_a_model_that_gives_no_numbers_is_an_error(data, model):
    class Broken(Scorer):
        def logits(self, cells):
            return np.full(len(cells), np.nan)

    with pytest.raises(DataError, match="no number"):
        predict(Broken(model), data.manifest, [data.open("val", "test")], LogitMap())


def test_the_sigmoid_does_not_overflow():
    with np.errstate(all="raise"):
        np.testing.assert_allclose(sigmoid(np.array([-700.0, 0.0, 700.0])), [0, 0.5, 1], atol=1e-300)
