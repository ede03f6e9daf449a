"""Every model in every format: read by Keras with one import, by TensorFlow with none, and the same numbers come out."""

import json
import subprocess
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from malaria_exp.config.registry import build, options
from malaria_exp.data.resize import ResizeRule, resize
from malaria_exp.evaluation.calibration import Calibration
from malaria_exp.evaluation.logit_map import LogitMap
from malaria_exp.runs.saved_model import load_model, save_model
from malaria_exp.training.calibrated_model import with_calibration
from malaria_exp.utils.errors import ConfigError

RULE = ResizeRule(32, "stretch")
# An ensemble is made of finished runs; its own test saves and reads it.
MODELS = sorted(set(options("model")) - {"ensemble"})
PARAMS = {"image_size": 32}
# A model by the Functional API and one that is a class: in a raw one, the model as it is saved otherwise is a layer.
BOTH = ("cellnet", "lenet_subclassed")
# By what a model takes, so that each kind of map is saved in all formats.
CALIBRATIONS = {
    "prepared": Calibration("platt", LogitMap(calibrated=[0.3], slope=1.4)),
    "raw": Calibration("isotonic", LogitMap([-0.2, 0.0, 0.4], [-1.0, -0.1, 0.2], 0.7)),
}
# Those that are saved in all formats.
SERVED = tuple(zip(("prepared", "raw"), BOTH, strict=True))
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 45, 38, 3)).astype(np.uint8)
PREPARED = np.stack([resize(image, RULE) for image in PIXELS]).astype(np.float32) * np.float32(1 / 255)


# The backbone of fewest layers; test_transfer.py has the others. All others as small as they can be.
SMALL = {
    "cellnet": {"stem": 4, "widths": [8]},
    "resnet_functional": {"width": 4},
    "resnet_subclassed": {"width": 4},
    "transfer": {"backbone": "vgg16"},
    "vit": {"depth": 1, "width": 16, "heads": 2},
}


def params_of(name):
    return PARAMS | SMALL.get(name, {})


def save(folder, model, name, takes="prepared", formats=("keras",)):
    folder.mkdir(parents=True, exist_ok=True)
    save_model(
        folder,
        SimpleNamespace(
            one=lambda group: SimpleNamespace(name=name, params=params_of(name)),
            save_as=list(formats),
            model_input=takes,
            evaluation=SimpleNamespace(views=1),
        ),
        SimpleNamespace(pixel_cache=SimpleNamespace(rule=RULE), manifest=SimpleNamespace(hash="0" * 64)),
        SimpleNamespace(model=model, precision="float32"),
        CALIBRATIONS[takes],
    )
    return folder


def make(name):
    """The model, each weight off its first value: zeros and ones would hide one that is lost or swapped."""
    keras.utils.set_random_seed(0)
    model = build("model", name, params_of(name))
    rng = np.random.default_rng(0)
    model.set_weights([value + rng.uniform(0, 0.02, value.shape).astype(value.dtype) for value in model.get_weights()])
    return model


def calibrated(saved, takes, name):
    """The logits of the model as it was saved."""
    return CALIBRATIONS[takes].map(np.load(saved / f"{name}.npy"))


def run_program(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with every model, saved as it takes raw images, some also as they take prepared ones or in all formats, and their logits."""
    keras.config.set_dtype_policy("float32")
    root = tmp_path_factory.mktemp("saved")
    for name in MODELS:
        model = make(name)
        for takes in ("prepared", "raw") if name in BOTH else ("raw",):
            formats = ["weights", "saved_model"] if (takes, name) in SERVED else []
            save(root / takes / name, model, name, takes, formats)
        np.save(root / f"{name}.npy", model(PREPARED, training=False).numpy())
        for takes in CALIBRATIONS:
            np.save(root / f"{takes}_{name}.npy", calibrated(root, takes, name))
    images = keras.Input((2, 2, 3))
    plain = keras.Model(images, keras.layers.Dense(1)(keras.layers.Flatten()(images)))
    with_calibration(plain, CALIBRATIONS["raw"].map).save(root / "calibrated.keras")
    np.save(root / "raw.npy", PIXELS)
    np.save(root / "prepared.npy", PREPARED)
    return root


@pytest.mark.long
@pytest.mark.parametrize("takes", ["prepared", "raw"])
def test_the_project_reads_either_kind_back_as_the_net_of_prepared_images(saved, takes):
    for name in BOTH if takes == "prepared" else MODELS:
        found = load_model(saved / takes / name)
        model, record = found.uncalibrated, found.record
        assert found.rule == RULE and found.calibration == CALIBRATIONS[takes]
        assert record["parameters"] == model.count_params() and record["files"]["keras"] == "model.keras"
        assert record["input"]["takes"] == takes
        assert record["input"]["dtype"] == {"prepared": "float32", "raw": "uint8"}[takes]
        np.testing.assert_array_equal(model(PREPARED, training=False), np.load(saved / f"{name}.npy"))
        np.testing.assert_allclose(found.model(PREPARED, training=False), calibrated(saved, takes, name), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"slope": 0}, "parameters.slope: expected a number >= 1e-06"),
        ({"slope": -1.4}, "parameters.slope: expected"),
        ({"logits": ["os.system"]}, "parameters.logits[0]: expected a number"),
        ({"logits": [0.0, 0.0], "calibrated": [0.0, 1.0]}, "each knot above the one before"),
        ({"logits": [0.0, 1.0], "calibrated": [1.0, 0.0]}, "each knot above the one before"),
        ({"logits": [0.0, 1.0]}, "Received 2 logits and 1 calibrated ones"),
        ({"logits": [], "calibrated": []}, "expected 1 to"),
        ({"module": "os"}, "module: unknown key"),
    ],
)
def test_a_calibration_that_would_do_harm_is_refused(saved, tmp_path, changed, said):
    for file in (saved / "prepared" / "cellnet").glob("model.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    record = json.loads((tmp_path / "model.json").read_text())
    record["calibration"]["parameters"] |= changed
    (tmp_path / "model.json").write_text(json.dumps(record))
    with pytest.raises(ConfigError) as caught:
        load_model(tmp_path)
    assert said in str(caught.value) and "model.json: calibration" in str(caught.value)


def test_a_record_from_before_raw_input_and_calibration_is_read(saved, tmp_path, monkeypatch):
    monkeypatch.setitem(CALIBRATIONS, "prepared", Calibration())
    folder = save(tmp_path / "run", make("cellnet"), "cellnet")
    record = json.loads((folder / "model.json").read_text())
    for key in ("takes", "shape", "dtype"):
        del record["input"][key]
    del record["calibration"]
    (folder / "model.json").write_text(json.dumps(record))
    np.testing.assert_array_equal(load_model(folder).model(PREPARED, training=False), np.load(saved / "cellnet.npy"))


@pytest.mark.long
def test_tensorflow_alone_serves_a_saved_model_and_keras_reads_every_model_after_one_import(saved):
    run_program(f"""
import pathlib, sys
import numpy as np, tensorflow as tf
root = pathlib.Path({str(saved)!r})
for takes, name in {SERVED}:
    served = tf.saved_model.load(str(root / takes / name / "saved_model")).signatures["serving_default"]
    found = served(images=tf.constant(np.load(root / f"{{takes}}.npy")))
    assert set(found) == {{"logit", "score"}}, found
    logit = np.load(root / f"{{takes}}_{{name}}.npy")
    np.testing.assert_allclose(found["logit"], logit, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found["score"], 1 / (1 + np.exp(-logit)), rtol=1e-4, atol=1e-5)
import keras
keras.saving.load_model(root / "calibrated.keras", safe_mode=True)
assert not [name for name in sys.modules if name.startswith("malaria_exp")], "a calibration needs no more than Keras"

import malaria_exp.components.model.layers
for takes, names in {{"prepared": {list(BOTH)}, "raw": {MODELS}}}.items():
    for name in names:
        model = keras.saving.load_model(root / takes / name / "model.keras", safe_mode=True)
        found = model(np.load(root / f"{{takes}}.npy"), training=False)
        np.testing.assert_allclose(found, np.load(root / f"{{takes}}_{{name}}.npy"), rtol=1e-4, atol=1e-4, err_msg=f"{{takes}} {{name}}")
""")


def test_what_was_written_stands_in_the_record_and_nothing_else_is_there(saved):
    folder = saved / "raw" / "lenet_subclassed"
    files = json.loads((folder / "model.json").read_text())["files"]
    assert files == {"keras": "model.keras", "weights": "model.weights.h5", "saved_model": "saved_model"}
    assert {path.name for path in folder.iterdir()} == {"model.json", *files.values()}


@pytest.mark.parametrize(("takes", "name"), SERVED)
def test_the_weights_alone_load_into_the_net(saved, takes, name):
    model = build("model", name, params_of(name))
    model.load_weights(saved / takes / name / "model.weights.h5")
    np.testing.assert_array_equal(model(PREPARED, training=False), np.load(saved / f"{name}.npy"))


def test_a_format_that_fails_half_way_leaves_nothing(tmp_path, monkeypatch):
    def fail(folder, model):
        (folder / "half").write_bytes(b"of it")
        raise RuntimeError("disk full")

    monkeypatch.setattr("malaria_exp.runs.export_formats.write_saved_model", fail)
    with pytest.raises(RuntimeError, match="disk full"):
        save(tmp_path / "run", make("cellnet"), "cellnet", formats=["saved_model"])
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"model.keras"}
