"""Models of several kinds, and with unusual layers, in other formats: the same logits as Keras. All models: benchmarks/export_formats.py."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from malaria_exp.config.registry import build
from malaria_exp.data.resize import ResizeRule
from malaria_exp.deployment.formats import Writer, open_runner
from malaria_exp.deployment.served_model import ServedModel
from malaria_exp.evaluation.calibration import Calibration
from malaria_exp.runs.saved_model import SavedModel

SIZE = 32
# Small, as converting takes longer with more layers. test_export.py has cellnet in all formats.
MODELS = {
    "lenet_subclassed": ({"filters": 2, "filters_2": 4, "units": 8}, ["onnx"]),
    "resnet_functional": ({"width": 4}, ["onnx"]),
    "vit": ({"depth": 1, "width": 16}, ["onnx", "litert", "openvino"]),
}
PIXELS = np.random.default_rng(0).integers(0, 256, (3, 45, 38, 3)).astype(np.uint8)


def served(model):
    """The model, each weight off its first value, with raw input."""
    rng = np.random.default_rng(0)
    model.set_weights([value + rng.uniform(0, 0.02, value.shape).astype(value.dtype) for value in model.get_weights()])
    return ServedModel(SavedModel(model, Calibration(), ResizeRule(SIZE, "pad"), {}))


def check(model, formats, tmp_path):
    expected = model.serve(tf.constant(PIXELS))
    assert np.isfinite(expected["logit"]).all() and np.ptp(expected["logit"]) > 0
    writer = Writer(model)
    for name in formats:
        path = tmp_path / f"model_{name}"
        writer.write(name, "float32", path)
        run = open_runner(name, path, 1)
        scale = max(1.0, float(np.abs(expected["logit"]).max()))
        for count in (3, 1):
            found = run(PIXELS[:count])
            assert found["logit"].dtype == np.float32 and found["logit"].shape == found["score"].shape == (count, 1)
            np.testing.assert_allclose(found["logit"], expected["logit"][:count], atol=2e-5 * scale, err_msg=name)
            np.testing.assert_allclose(found["score"], expected["score"][:count], atol=1e-5 * scale, err_msg=name)


@pytest.fixture(autouse=True)
def float32():
    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(0)


@pytest.mark.long
@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_exported(name, tmp_path):
    params, formats = MODELS[name]
    check(served(build("model", name, {"image_size": SIZE, **params})), formats, tmp_path)


def test_numbers_that_a_layer_holds_outside_of_its_weights_are_exported(tmp_path):
    images = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Normalization(mean=[0.4, 0.5, 0.6], variance=[0.05, 0.06, 0.07])(images)
    model = keras.Model(images, keras.layers.Dense(1)(keras.layers.GlobalAveragePooling2D()(x)))
    check(served(model), ("onnx", "litert"), tmp_path)
