"""A run and its bundle, opened: the same scores, the bundle without TensorFlow, and nothing of a damaged bundle is used."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from malaria_exp.deployment.open_model import open_model
from malaria_exp.utils.errors import RunFolderError

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)


@pytest.fixture
def copied(bundle, tmp_path):
    """A copy of the bundle that a test may change."""
    return shutil.copytree(bundle, tmp_path / "bundle")


def change(folder, **values):
    record = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(record | values))
    return record


def test_a_run_and_its_bundle_say_the_same(finished_run, bundle):
    run, exported = open_model(finished_run), open_model(bundle)
    for count in (5, 1):
        expected, found = run(PIXELS[:count]), exported(PIXELS[:count])
        assert found.score.shape == (count,) and found.score.dtype == np.float64 and found.ood.shape == (count, 7)
        np.testing.assert_allclose(found.score, expected.score, atol=1e-5)
        np.testing.assert_allclose(found.ood, expected.ood, rtol=1e-3, atol=1e-3)
    assert np.ptp(expected.score) >= 0 and np.ptp(run(PIXELS).score) > 1e-3
    assert run.facts.thresholds == exported.facts.thresholds and run.facts.rule == exported.facts.rule
    assert list(run.facts.thresholds) == ["fixed", "target_sensitivity"]


def test_a_bundle_needs_neither_tensorflow_nor_keras(bundle):
    program = f"""
import sys, pathlib, numpy as np
from malaria_exp.deployment.open_model import open_model
model = open_model(pathlib.Path({str(bundle)!r}), threads=1)
print(model(np.zeros((2, 50, 40, 3), np.uint8)).score.shape)
assert not {{"tensorflow", "keras", "matplotlib"}} & sys.modules.keys()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "(2,)\n", done.stderr[-2000:]


@pytest.mark.parametrize("file", ["../model.onnx", "/etc/passwd", "a/b.onnx", "..", ""])
def test_no_file_outside_of_the_bundle_is_opened(copied, file):
    models = change(copied)["models"]
    change(copied, models=[models[0] | {"file": file}])
    with pytest.raises(RunFolderError, match=r"models\[0\].file: expected the name of a file in the bundle"):
        open_model(copied)


def test_another_model_than_was_exported_is_refused(copied):
    content = bytearray((copied / "model.onnx").read_bytes())
    content[-100] ^= 1
    for changed in (content, content[:-1], b""):
        (copied / "model.onnx").write_bytes(changed)
        with pytest.raises(RunFolderError, match="another file than was exported"):
            open_model(copied)
    (copied / "model.onnx").unlink()
    with pytest.raises(RunFolderError, match=r"has no model\.onnx"):
        open_model(copied)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"models": []}, "has no ONNX model"),
        ({"models": "onnx"}, "models: expected a list"),
        ({"thresholds": {}}, "thresholds: it holds none"),
        ({"thresholds": {"fixed": {"value": 2, "rule": "given"}}}, "thresholds.fixed.value: expected a number >= 0 and <= 1"),
        ({"thresholds": {"../x": {"value": 0.5, "rule": "given"}}}, "thresholds"),
        ({"classes": ["a", "b"]}, "classes: expected"),
        ({"ood": {"name": "knn", "parts": ["color"], "false_warnings": 0.1}}, "does not fit its model.json"),
        ({"ood": {"name": "knn", "parts": [1], "false_warnings": 0.1}}, "ood.parts[0]: expected text"),
        ({"ood": {"name": "knn", "parts": ["a\n"], "false_warnings": None}}, "printable"),
    ],
)
def test_a_record_that_does_not_fit_is_refused(copied, values, said):
    change(copied, **values)
    with pytest.raises(RunFolderError) as caught:
        open_model(copied)
    assert said in str(caught.value) and "bundle" in str(caught.value)
