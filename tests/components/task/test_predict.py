"""task=predict: every image gets its row, whatever is wrong with others; a killed job and many parts end as one that nobody touched."""

import csv
import json
import re
from dataclasses import asdict
from unittest import mock

import numpy as np
import pytest
from conftest import png_bytes
from fake_model import PARTS, SHIFT, FakeModel
from html_page import Page
from PIL import Image

from malaria_exp.config.registry import build
from malaria_exp.data.fingerprints import pixel_hash
from malaria_exp.data.readers.names import parse_name
from malaria_exp.deployment import open_model
from malaria_exp.deployment.explanations.draw_one import COLORS
from malaria_exp.utils.errors import ConfigError, RunFolderError

HOSTILE = '=HYPERLINK("x")<script>alert(1)</script>.png'
NIH = "C100P61ThinF_IMG_20150918_144104_cell_162.png"


def red(number):
    """Returns the cell with this number; its redness rises with it."""
    image = np.zeros((12, 10, 3), np.uint8)
    image[..., 0] = number * 12
    return image


@pytest.fixture
def cells(tmp_path):
    """A folder of 23 images: 20 of rising redness, a bright one with a hostile name, an empty file and a text that calls itself a PNG."""
    folder = tmp_path / "cells"
    folder.mkdir()
    for number in range(20):
        (folder / NIH.replace("162", str(number))).write_bytes(png_bytes(red(number)))
    (folder / HOSTILE.replace("/", "_")).write_bytes(png_bytes(np.full((8, 8, 3), 255, np.uint8)))
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_bytes(b"no image at all")
    return folder


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A model that every run folder gives."""
    (tmp_path / "run").mkdir()
    found = FakeModel(tmp_path / "run", guard=[pixel_hash(red(number)) for number in (3, 7)])
    monkeypatch.setattr(open_model, "open_model", lambda source, **_: found)
    return found


@pytest.fixture
def predict(run_task, tmp_path, cells, model):
    """predict(name, *overrides) -> the folder."""
    base = ["task=predict", f"run={tmp_path / 'run'}", f"images={cells}", "evaluation.batch_size=4"]
    return lambda name, *more: run_task([*base, *more], tmp_path / name)


def rows(folder, name="predictions.csv"):
    with (folder / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_image_has_a_row_and_hostile_names_stay_names(predict, cells):
    folder = predict("out")
    found = {row["file"]: row for row in rows(folder)}
    assert len(found) == 23
    reddest = found[NIH.replace("162", "19")]
    assert (reddest["predicted_fixed"], reddest["predicted_target_sensitivity"]) == ("parasitized", "parasitized")
    assert reddest["looks_like_training_data"] == "yes" and not reddest["why_not"] and not reddest["error"]
    # Padding to a square: 2 of 12 columns are black.
    assert float(reddest["score"]) == pytest.approx(19 * 12 / 255 * 10 / 12, abs=0.02)
    foreign = found["'" + HOSTILE.replace("/", "_")]
    assert (foreign["looks_like_training_data"], foreign["why_not"]) == ("no", "brightness")
    assert found["empty.png"]["error"] == "empty file (0 bytes)" and not found["empty.png"]["score"]
    assert "not a PNG" in found["text.png"]["error"]
    summary = json.loads((folder / "summary.json").read_text())
    assert [summary[key] for key in ("images", "scored", "errors", "unlike_training_data", "patients")] == [23, 21, 2, 1, 1]
    assert summary["thresholds"]["fixed"]["parasitized"] == sum(row["predicted_fixed"] == "parasitized" for row in found.values())
    text = (folder / "report.html").read_text()
    page = Page(text)
    assert "<script" not in text and HOSTILE.replace("/", "_") in page.text and "empty file (0 bytes)" in page.text
    assert not [value for tag, name, value in page.attributes if name in ("src", "href") and not value.startswith("data:image/png;base64,")]
    assert json.loads((folder / "status.json").read_text())["status"] == "done"


def test_the_page_shows_the_ends_the_middle_and_the_foreign_ones_by_score(predict):
    text = (predict("out", "task.pictures=3") / "report.html").read_text()
    assert text.count("<img") == 10
    numbers = [int(number) for number in re.findall(r"_cell_(\d+)\.png", text)]
    assert numbers[:3] == [19, 18, 17] and numbers[-3:] == [2, 1, 0]


def test_maps_stand_beside_the_first_cells_of_each_group(predict):
    page = Page((predict("out", "task.explain=2") / "report.html").read_text())
    shows = [value for tag, name, value in page.attributes if name == "alt"]
    maps = [place for place, words in enumerate(shows) if words.startswith("the map")]
    # Three groups have more than two cells, and one image is foreign.
    assert len(maps) == 3 * 2 + 1
    assert maps[:2] == [1, 3] and COLORS in page.text


def test_a_method_that_scores_alone_do_not_allow_is_refused_before_any_cell_is_scored(predict, model):
    for name, words in (("grad_cam", "task.method: it needs the run's own model"), ("occlusions", "Did you mean 'occlusion'")):
        with pytest.raises(ConfigError, match=words):
            predict(name, "task.explain=2", f"task.method={name}")
    assert model.batches == []


def test_parasitemia_is_told_of_each_patient_that_is_known(predict, cells):
    named, one = (rows(predict(how, f"task.patients={how}"), "patients.csv") for how in ("names", "one"))
    assert [row["cells"] for row in named] == ["20", "20"] and named[0]["patient"] == parse_name(NIH[:-4]).patient
    assert [(row["threshold"], row["cells"]) for row in one] == [("fixed", "21"), ("target_sensitivity", "21")]
    assert not (predict("folders", "task.patients=folders") / "patients.csv").exists()


def test_cells_are_compared_with_patients_as_a_whole(predict, tmp_path, cells, model):
    """Of all cells and of each patient's, what the test of the scores themselves says; a folder of bright cells is foreign."""
    bright = tmp_path / "bright"
    bright.mkdir()
    for number in range(12):
        Image.fromarray(np.full((9, 9, 3), 250, np.uint8)).save(bright / f"{number}.png")
    folder = predict("out", f"images={bright}", "task.patients=one")
    expected = SHIFT.test(np.tile([[250 / 200, 0.0]], (12, 1)), PARTS)
    assert expected.verdict == "foreign"
    together = json.loads((folder / "summary.json").read_text())["together"]
    assert together == asdict(expected)
    assert [(row["together"], float(row["p_value"])) for row in rows(folder, "patients.csv")] == [("foreign", expected.p_value)] * 2
    assert expected.words in Page((folder / "report.html").read_text()).text
    assert json.loads((predict("known") / "summary.json").read_text())["together"]["verdict"] == "known"


def test_cells_that_the_model_was_trained_on_are_told(predict, model):
    folder = predict("out")
    found = {row["file"]: row["trained_on"] for row in rows(folder)}
    assert {file for file, value in found.items() if value == "yes"} == {NIH.replace("162", str(number)) for number in (3, 7)}
    assert (found["empty.png"], list(found.values()).count("no")) == ("", 19)
    assert json.loads((folder / "summary.json").read_text())["trained_on"] == 2
    assert "trained on 2 of these cells" in Page((folder / "report.html").read_text()).text
    model.facts.record["guard"].clear()
    assert json.loads((predict("unknown") / "summary.json").read_text())["trained_on"] is None
    model.facts.record["guard"].append("../x")
    with pytest.raises(RunFolderError, match=r"guard\[0\]: expected 32 hexadecimal digits"):
        predict("damaged")


def test_a_bundle_says_what_its_run_says(run_task, finished_run, bundle, tmp_path):
    table = build("dataset", "synthetic", {"infected_patients": 8, "healthy_patients": 3, "cells_per_patient": 8, "cell_size": 40})
    subset_of = {row["cell_id"]: row["subset"] for row in rows(finished_run, "split.csv")}
    (tmp_path / "cells").mkdir()
    for row in range(0, len(table), 3):
        (tmp_path / "cells" / f"{table.cell_id[row]}.png").write_bytes(png_bytes(table.source.read(row)))
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    (tmp_path / "cells" / "noise.png").write_bytes(png_bytes(noise))
    for name, source in (("of_run", finished_run), ("of_bundle", bundle)):
        run_task(["task=predict", f"run={source}", f"images={tmp_path / 'cells'}"], tmp_path / name)
    own, exported = rows(tmp_path / "of_run"), rows(tmp_path / "of_bundle")
    numbers = {"score": (1e-5, 1e-5), "ood_scores": (1e-3, 1e-3)}
    for one, other in zip(own, exported, strict=True):
        # The cell that sets a limit lies on it: its score is 1 but for the last bits.
        at_limit = any(abs(float(value) - 1) < 1e-5 for value in one["ood_scores"].split())
        words = one.keys() - numbers.keys() - ({"looks_like_training_data", "why_not"} if at_limit else set())
        assert {key: one[key] for key in words} == {key: other[key] for key in words}
        assert one["trained_on"] == ("yes" if subset_of.get(one["file"].removesuffix(".png")) == "train" else "no")
        for key, (relative, absolute) in numbers.items():
            np.testing.assert_allclose(*(np.array(row[key].split(), float) for row in (other, one)), rtol=relative, atol=absolute)
    assert own[-1]["file"] == "noise.png" and own[-1]["looks_like_training_data"] == "no"
    assert {row["trained_on"] for row in own} == {"yes", "no"}
    said = [json.loads((tmp_path / name / "summary.json").read_text()) for name in ("of_run", "of_bundle")]
    assert all(said[0][key] == said[1][key] for key in ("scored", "trained_on", "thresholds", "patients"))
    assert said[0]["together"]["verdict"] == said[1]["together"]["verdict"]


def test_a_killed_job_goes_on_and_ends_as_one_that_nobody_touched(predict, model, run_task, tmp_path):
    whole = predict("whole")
    asked = list(model.batches)
    score, calls = FakeModel.__call__, iter(range(3))

    def kill(self, images):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return score(self, images)

    with mock.patch.object(FakeModel, "__call__", kill), pytest.raises(KeyboardInterrupt):
        predict("cut")
    part = tmp_path / "cut" / "resume" / "predictions.csv"
    assert part.read_bytes().count(b"\n") == 1 + 3 * 4
    # As kill -9 leaves it: a whole row of the next batch, and half of one.
    line = part.read_bytes().splitlines(keepends=True)[-1]
    part.write_bytes(part.read_bytes() + line + line[:7])
    del model.batches[:]
    run_task(["task=resume", f"run={tmp_path / 'cut'}"], tmp_path / "not used")
    assert model.batches == asked[3:]
    for name in ("predictions.csv", "patients.csv", "report.html", "summary.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (whole / name).read_bytes(), name
    assert not (tmp_path / "cut" / "resume").exists()


def test_what_was_begun_with_other_images_does_not_go_on(predict, run_task, cells, tmp_path):
    with mock.patch.object(FakeModel, "__call__", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        predict("cut")
    (cells / "empty.png").unlink()
    with pytest.raises(RunFolderError, match="has changed since: images, numbers"):
        run_task(["task=resume", f"run={tmp_path / 'cut'}"], tmp_path / "not used")


def test_parts_are_whole_batches_that_together_are_all_images(predict):
    whole = rows(predict("whole"))
    parts = [rows(predict(f"part{part}", "task.parts=3", f"task.part={part}")) for part in range(3)]
    assert [row for part in parts for row in part] == whole and [len(part) for part in parts] == [8, 8, 7]


def test_what_is_missing_or_wrong_is_one_message(predict, tmp_path):
    for overrides, message in (
        (["run=null"], "run: missing; task=predict"),
        (["images=null"], "images: missing; task=predict"),
        (["task.parts=3", "task.part=3"], "task.part: expected 0 to 2"),
        (["task.patients=alone"], "task.patients: expected one of 'names', 'folders', 'one'"),
    ):
        with pytest.raises(ConfigError, match=message):
            predict("out", *overrides)
        assert not (tmp_path / "out").exists()
