"""The calibrated Keras model computes what the map computes in numpy, in every precision. Keras alone reads it: runs/test_saved_model.py."""

import keras
import numpy as np
import pytest

from malaria_exp.evaluation.logit_map import LogitMap
from malaria_exp.training.calibrated_model import with_calibration

MAPS = {
    "scale": LogitMap(slope=1.7),
    "scale and shift": LogitMap(calibrated=[-0.4], slope=0.3),
    "knots": LogitMap([-2.0, -0.5, 0.5, 3.0], [-4.0, -0.2, 0.0, 1.0], 0.8),
}
LOGITS = np.array([-60.0, -2.5, -2.0, -1.1, 0.0, 0.4, 2.9, 3.0, 60.0])


@pytest.fixture(scope="module", params=["float32", "mixed_bfloat16", "mixed_float16"])
def model(request):
    """The logit is the first pixel."""
    keras.config.set_dtype_policy(request.param)
    images = keras.Input((2, 2, 3))
    dense = keras.layers.Dense(1)
    model = keras.Model(images, dense(keras.layers.Flatten()(images)), name="first_pixel")
    dense.set_weights([np.eye(12, 1), np.zeros(1)])
    keras.config.set_dtype_policy("float32")
    return model


@pytest.mark.parametrize("name", MAPS)
def test_it_computes_the_map(model, name, tmp_path):
    images = np.zeros((len(LOGITS), 2, 2, 3), np.float32)
    images[:, 0, 0, 0] = LOGITS
    whole = with_calibration(model, MAPS[name])
    expected = MAPS[name](keras.ops.convert_to_numpy(model(images)).astype(np.float64)[:, 0])
    found = whole(images, training=False)
    assert found.dtype == "float32" and whole.output_shape == (None, 1) and whole.name == "first_pixel"
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-6, atol=1e-6)
    whole.save(tmp_path / "whole.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "whole.keras", safe_mode=True)(images), found)


def test_where_nothing_changes_it_is_the_model(model):
    assert with_calibration(model, LogitMap()) is model
