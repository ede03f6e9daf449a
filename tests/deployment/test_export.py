"""A bundle: what it holds, that every model in it says what the run says, and that a failed export leaves nothing."""

import csv
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from malaria_exp.config.registry import build
from malaria_exp.data.resize import resize
from malaria_exp.deployment.bundle import content_hash, read_facts, read_models
from malaria_exp.deployment.formats import open_runner
from malaria_exp.deployment.open_model import open_model
from malaria_exp.runs.read_files import read_json
from malaria_exp.utils.errors import ConfigError, DataError, RunFolderError

FORMATS = "task.formats=[saved_model,onnx,litert,openvino]"


@pytest.fixture(scope="module")
def whole(run_task, finished_run, tmp_path_factory):
    """A bundle of all formats, float32 and int8."""
    folder = tmp_path_factory.mktemp("whole") / "bundle"
    run_task(["task=export", f"run={finished_run}", f"task.to={folder}", "task.cells=20", FORMATS, "task.numbers=[float32,int8]"], folder)
    return folder


@pytest.fixture(scope="module")
def cells():
    """Cells of their own sizes, and images of odd ones."""
    table = build("dataset", "synthetic", {"seed": 5, "infected_patients": 1, "healthy_patients": 0, "cells_per_patient": 12})
    odd = [
        np.random.default_rng(height).integers(0, 256, (height, width, 3)).astype(np.uint8)
        for height, width in ((9, 150), (131, 37), (1, 1))
    ]
    return [*(table.source.read(row) for row in range(7)), *odd]


@pytest.mark.long
def test_every_model_scores_raw_images_as_the_run_does(whole, finished_run, cells):
    run = open_model(finished_run)
    keras = [run(resize(image, run.facts.rule)[None]) for image in cells]
    expected = np.array([item.score[0] for item in keras])
    models = read_models(read_facts(whole))
    assert len(models) == 7 and {(model.format, model.numbers) for model in models} >= {("litert", "int8"), ("openvino", "int8")}
    for model in models:
        scored = open_runner(model.format, whole / model.file, 1)
        found = [scored(image[None]) for image in cells]
        assert set(found[0]) == {"logit", "score", "ood"}
        scores = np.array([item["score"][0, 0] for item in found])
        # int8 is calibrated on cells, and the last images are none.
        exact, some = model.numbers == "float32", len(cells) if model.numbers == "float32" else 7
        np.testing.assert_allclose(scores[:some], expected[:some], atol=1e-4 if exact else 0.2, err_msg=model.file)
        if exact:
            ood = np.concatenate([item["ood"] for item in found])
            np.testing.assert_allclose(ood, np.concatenate([item.ood for item in keras]), rtol=1e-2, atol=1e-2, err_msg=model.file)
        logits = np.array([item["logit"][0, 0] for item in found])
        np.testing.assert_allclose(1 / (1 + np.exp(-logits)), scores, atol=1e-5 if exact else 0.02, err_msg=model.file)


@pytest.mark.long
def test_the_record_says_what_was_written_and_what_it_learned_from(whole, finished_run):
    record, run = read_json(whole / "model.json"), read_json(finished_run / "model.json")
    assert {key: record[key] for key in run} == run
    assert record["thresholds"] == read_json(finished_run / "metrics.json")["thresholds"]
    for model in record["models"]:
        assert content_hash(whole / model["file"]) == model["sha256"]
        assert model["largest_difference"] <= (1e-4 if model["numbers"] == "float32" else 0.2)
    sizes = {model["file"]: model["bytes"] for model in record["models"]}
    assert sizes["model.onnx"] == (whole / "model.onnx").stat().st_size
    train = record["training_data"]["subsets"]["train"]["cells"]
    assert len(record["guard"]) == train and all(re.fullmatch("[0-9a-f]{32}", item) for item in record["guard"])
    assert not re.search("P50[0-9]{2}", json.dumps(record))


@pytest.mark.long
def test_the_table_stands_in_a_csv_and_in_the_readme(whole):
    with (whole / "exports.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["format"] for row in rows] == ["keras", "saved_model", *["onnx"] * 2, *["litert"] * 2, *["openvino"] * 2]
    assert all(float(row["ms a cell, all threads"]) > 0 for row in rows) and float(rows[2]["ms a cell, 1 thread"]) > 0
    assert {"flips at fixed", "flips at target_sensitivity", "AUC"} <= set(rows[0])
    text = (whole / "README.md").read_text()
    assert "| litert | int8 |" in text and "target_sensitivity" in text and re.search(r"By \d+ validation cells of the run", text)


@pytest.mark.long
def test_predict_scores_a_folder_with_numpy_pillow_and_a_runtime_alone(whole, finished_run, cells, tmp_path):
    folder = tmp_path / "cells"
    folder.mkdir()
    for place, image in enumerate(cells):
        Image.fromarray(image).save(folder / f"{place}.png")
    (folder / "broken.png").write_bytes(b"no image")
    blocked = "sys.modules.update(dict.fromkeys(('tensorflow', 'keras', 'malaria_exp', 'onnx', 'tf2onnx')))"
    run = open_model(finished_run)
    keras = [run(resize(image, run.facts.rule)[None]) for image in cells]
    expected = [item.score[0] for item in keras]
    for left in ("onnx", "litert", "openvino"):
        alone = shutil.copytree(whole, tmp_path / left)
        record = read_json(alone / "model.json")
        record["models"] = [model for model in record["models"] if model["format"] == left]
        (alone / "model.json").write_text(json.dumps(record))
        program = f"import sys, runpy; {blocked}; sys.argv = ['predict.py', {str(folder)!r}]; runpy.run_path({str(alone / 'predict.py')!r}, run_name='__main__')"
        done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        rows = list(csv.DictReader(done.stdout.splitlines()))
        assert [row["error"] != "" for row in rows] == [False] * 10 + [True]
        np.testing.assert_allclose([float(row["score"]) for row in rows[:10]], expected, atol=1e-4)
        near = [abs(item.ood.max() - 1) < 0.02 for item in keras]
        seen = [
            row["looks_like_training_data"] == ("no" if (item.ood > 1).any() else "yes") for row, item in zip(rows, keras, strict=False)
        ]
        assert all(one or skipped for one, skipped in zip(seen, near, strict=True))
        assert all((row["why_not"] != "") == (row["looks_like_training_data"] == "no") for row in rows)
        for name, threshold in run.facts.thresholds.items():
            assert [row[f"predicted_{name}"] for row in rows[:10]] == [
                "parasitized" if score >= threshold.value else "uninfected" for score in expected
            ]


@pytest.mark.parametrize(
    ("overrides", "kind", "said"),
    [
        ([], ConfigError, "exists already; nothing is written over it"),
        (["run=null"], ConfigError, "task=export needs the folder of a finished run"),
        (["task.to={new}", "task.formats=[]"], ConfigError, "expected formats and numbers"),
        (["task.to={new}", "task.formats=[saved_model]", "task.numbers=[int8]"], ConfigError, "saved_model has no int8"),
        (["task.to={new}", "task.formats=[onnx,onnx]"], ConfigError, "each once"),
        (["task.to={new}", "task.formats=[coreml]"], ConfigError, "expected one of 'saved_model', 'onnx'"),
        (["task.to={new}", "run=nowhere"], RunFolderError, "nowhere"),
    ],
)
@pytest.mark.long
def test_a_mistake_is_told_before_anything_is_written(run_task, finished_run, whole, tmp_path, overrides, kind, said):
    given = ["task=export", f"run={finished_run}", f"task.to={whole}", *(item.format(new=tmp_path / "new") for item in overrides)]
    with pytest.raises(kind) as caught:
        run_task(given, tmp_path)
    assert said in str(caught.value) and not list(tmp_path.iterdir())


@pytest.mark.long
def test_an_export_that_says_something_else_leaves_no_bundle(run_task, finished_run, tmp_path, monkeypatch):
    from malaria_exp.deployment import exporter

    monkeypatch.setattr(exporter, "scores_of", lambda run, images: np.float64(run(images)["score"][:, 0]) + 2e-4)
    with pytest.raises(DataError, match=r"does not say what Keras says.*task.tolerance is 0.0001"):
        run_task(["task=export", f"run={finished_run}", f"task.to={tmp_path / 'new'}", "task.formats=[litert]", "task.cells=4"], tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_without_the_runs_cells_synthetic_ones_check_and_int8_is_refused(run_task, finished_run, tmp_path, monkeypatch):
    moved = shutil.copytree(finished_run, tmp_path / "run")
    config = (moved / "config.yaml").read_text()
    (moved / "config.yaml").write_text(config.replace("  cell_size: 40", "  cell_size: 41"))
    given = ["task=export", f"run={moved}", "task.formats=[litert]", "task.cells=4"]
    with pytest.raises(DataError, match="is not what the run was trained on"):
        run_task([*given, "task.numbers=[int8]"], tmp_path)
    run_task(given, tmp_path)
    assert read_json(moved / "bundle" / "model.json")["checked_with"] == "4 synthetic cells"


def test_a_missing_package_is_named(run_task, finished_run, tmp_path, monkeypatch):
    monkeypatch.setattr("malaria_exp.deployment.formats.find_spec", lambda name: None if name == "openvino" else True)
    with pytest.raises(ConfigError, match=r"'openvino' needs openvino, not installed.*pip install 'malaria_exp\[export\]'"):
        run_task(["task=export", f"run={finished_run}", f"task.to={tmp_path / 'new'}", "task.formats=[openvino]"], tmp_path)
