"""Predicting from Python: pixels, bytes and paths of one image give one score, and what is wrong with an image is said."""

import numpy as np
import pytest
from conftest import png_bytes
from fake_model import FakeModel

from malaria_exp.data.fingerprints import pixel_hash
from malaria_exp.deployment import open_model
from malaria_exp.deployment.deployed_run import DeployedRun
from malaria_exp.utils.errors import DataError, RunFolderError


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A bundle with a model that sees red."""
    (tmp_path / "bundle").mkdir()
    model = FakeModel(tmp_path / "bundle", guard=[pixel_hash(np.full((6, 6, 3), 255, np.uint8))])
    monkeypatch.setattr(open_model, "open_model", lambda source, **_: model)
    return DeployedRun(tmp_path / "bundle")


def test_pixels_bytes_and_paths_of_an_image_give_one_score(run, tmp_path):
    image = np.zeros((9, 9, 3), np.uint8)
    image[..., 0] = 200
    (tmp_path / "cell.png").write_bytes(png_bytes(image))
    given = [image, [image], image[None], png_bytes(image), str(tmp_path / "cell.png"), tmp_path / "cell.png", str(tmp_path / "*.png")]
    found = [run.predict(images) for images in given]
    assert [one.score.tolist() for one in found] == [found[0].score.tolist()] * len(found)
    assert found[0].score[0] == pytest.approx(200 / 255) and found[0].predicted["fixed"].tolist() == ["parasitized"]
    assert found[0].looks_like_training_data == [True] and found[0].why_not == [()] and found[0].error == [""]
    assert found[4].file == ["cell.png"] and found[1].file == ["0"]


def test_an_image_that_cannot_be_used_does_not_stop_the_others(run):
    bright = np.full((6, 6, 3), 255, np.uint8)
    found = run.predict([b"", bright, png_bytes(bright)[:60]])
    assert np.isnan(found.score).tolist() == [True, False, True] and found.predicted["fixed"].tolist() == ["", "parasitized", ""]
    assert found.looks_like_training_data == [None, False, None] and found.why_not[1] == ("brightness",)
    assert found.trained_on == [None, True, None] and run.predict(bright[:5]).trained_on == [False]
    assert "empty" in found.error[0] and "truncated" in found.error[2] and "2 cannot be used" in repr(found)


@pytest.mark.parametrize(
    ("images", "received"),
    [
        (np.zeros((4, 4, 3), np.float32), "float32"),
        ([np.zeros((4, 4), np.uint8)], r"uint8 \(4, 4\)"),
        ([3], "int"),
        ([b"", "a.png"], "both"),
    ],
)
def test_what_is_no_image_is_a_message(run, images, received):
    with pytest.raises(DataError, match=f"images.*{received}"):
        run.predict(images)


def test_a_folder_of_neither_is_refused(tmp_path):
    with pytest.raises(RunFolderError, match=r"has no status\.json"):
        DeployedRun(tmp_path)
