"""The mean over views is that of the flipped and turned images, in every precision, as a model that Keras alone reads."""

import keras
import numpy as np
import pytest

from malaria_exp.training.views import with_views


@pytest.fixture(scope="module", params=["float32", "mixed_bfloat16"])
def model(request):
    keras.config.set_dtype_policy(request.param)
    images = keras.Input((6, 6, 3))
    hidden = keras.layers.Conv2D(4, 3, activation="relu")(images)
    model = keras.Model(images, keras.layers.Dense(1, dtype="float32")(keras.layers.Flatten()(hidden)), name="lopsided")
    keras.config.set_dtype_policy("float32")
    return model


def dihedral(images):
    """All eight views."""
    turned = [images, images.transpose(0, 2, 1, 3)]
    return [view[:, y, x] for view in turned for y in (slice(None), slice(None, None, -1)) for x in (slice(None), slice(None, None, -1))]


@pytest.mark.parametrize("views", [2, 4, 8])
def test_it_is_the_mean_over_the_views(model, views, tmp_path):
    images = np.random.default_rng(0).random((5, 6, 6, 3), np.float32)
    whole = with_views(model, views)
    found = whole(images, training=False)
    assert found.dtype == "float32" and whole.output_shape == (None, 1) and whole.name == "lopsided"
    expected = np.mean([model(np.ascontiguousarray(view)) for view in dihedral(images)[:views]], axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    if views == 8:
        turned = whole(np.ascontiguousarray(np.rot90(images, axes=(1, 2))))
        np.testing.assert_allclose(found, turned, rtol=1e-5, atol=1e-5)
    whole.save(tmp_path / "whole.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "whole.keras", safe_mode=True)(images), found)


def test_one_view_is_the_model(model):
    assert with_views(model, 1) is model
