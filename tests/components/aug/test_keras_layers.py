"""Any of Keras' preprocessing layers, with draws that depend on the seed alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from aug_tools import cells, noise, quarter_turns, run, treat

from malaria_exp.components.aug._colors import keep_black
from malaria_exp.components.aug._keras_layers import COLOR, ELSEWHERE, GEOMETRY, OWN, StepSeeds, apply_layers, build_layers
from malaria_exp.components.aug._rot90_layer import RandomRot90
from malaria_exp.config.registry import build
from malaria_exp.data.augmentation_chain import Chain
from malaria_exp.utils.errors import ConfigError

ARGUMENTS = {
    "RandomBrightness": {"factor": 0.4},
    "RandomColorDegeneration": {"factor": [0.4, 0.9]},
    "RandomContrast": {"factor": 0.4},
    "RandomElasticTransform": {"factor": 1.0, "scale": 1.0},
    "RandomErasing": {"factor": 1.0},
    "RandomGaussianBlur": {"factor": 1.0, "kernel_size": 5, "sigma": [0.9, 1.0]},
    "RandomGrayscale": {"factor": 0.5},
    "RandomHue": {"factor": 0.5},
    "RandomInvert": {"factor": 1.0},
    "RandomPerspective": {"factor": 1.0, "scale": 0.5},
    "RandomPosterization": {"factor": 3},
    "RandomRotation": {"factor": 0.3},
    "RandomSaturation": {"factor": [0.1, 0.4]},
    "RandomSharpness": {"factor": [0.8, 1.0]},
    "RandomShear": {"x_factor": 0.4, "y_factor": 0.4},
    "RandomTranslation": {"height_factor": 0.3, "width_factor": 0.3},
    "RandomZoom": {"height_factor": 0.4},
}
LAYERS = sorted([*COLOR, *GEOMETRY, *OWN])


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_works_and_repeats(layer):
    images, labels = cells(9, 16)
    chain = Chain([build("aug", "keras_layers", {"layers": [{layer: ARGUMENTS.get(layer, {})}]})])
    got = run(chain, images, labels, (1, 2))[0]
    assert (got.shape, got.dtype) == (images.shape, np.float32)
    assert 0 <= got.min() <= got.max() <= 1
    assert not np.allclose(got, images, atol=1e-3) and np.array_equal(got, run(chain, images, labels, (1, 2))[0])
    fresh = run(Chain([build("aug", "keras_layers", {"layers": [{layer: ARGUMENTS.get(layer, {})}]})]), images, labels, (1, 2))[0]
    assert np.array_equal(got, fresh)
    if layer not in ("AutoContrast", "Equalization", "Solarization", "RandomInvert"):
        assert not np.array_equal(got, run(chain, images, labels, (1, 3))[0])


TURN = {"RandomRotation": {"factor": 0.4, "fill_mode": "constant"}}


@pytest.mark.parametrize(
    "layers",
    [
        [TURN],
        [{"RandomRotation": {"factor": 0.4, "fill_mode": "constant", "fill_value": 0.5}}],
        [{"RandomRotation": {"factor": 0.4, "fill_mode": "constant", "interpolation": "nearest"}}],
        [{"RandomRotation": {"factor": 0.4}}],
        *[[{"RandomFlip": {"mode": mode}}] for mode in ("horizontal", "vertical", "horizontal_and_vertical")],
        [TURN, {"RandomFlip": {"mode": "horizontal"}}, {"RandomFlip": {"mode": "vertical"}}],
        [TURN, {"RandomFlip": {}}, {"RandomZoom": {"height_factor": 0.2}}, {"RandomFlip": {"mode": "vertical"}}, TURN, TURN],
        [{"RandomContrast": {"factor": 0.7}}],
        # Moves that are made at once: a turn and those after it, also beyond a change of contrast.
        [TURN, {"RandomFlip": {}}, {"RandomContrast": {"factor": 0.7}}, {"RandomRot90": {}}],
        [TURN, {"RandomRot90": {}}, {"RandomFlip": {"mode": "vertical"}}, {"RandomRot90": {}}],
        [{"RandomContrast": {"factor": 0.7}}, {"RandomContrast": {"factor": 0.7}}, {"RandomRot90": {}}],
    ],
    ids=str,
)
def test_the_pixels_are_those_that_keras_makes(layers):
    images = tf.constant(noise(24, 13)[0])
    built, seed = build_layers("layers", layers), tf.constant([1, 2])
    theirs = images
    for number, layer in enumerate(built):
        drawn = layer.get_random_transformation(theirs, training=True, seed=StepSeeds(tf.random.fold_in(seed, -1 - number)))
        changed = layer.transform_images(theirs, drawn, training=True)
        theirs = keep_black(theirs, changed) if isinstance(layer, keras.layers.RandomContrast) else tf.clip_by_value(changed, 0, 1)
    np.testing.assert_allclose(apply_layers(built, images, seed), theirs, atol=1e-4)
    assert not np.allclose(theirs, images, atol=0.01)


def test_every_image_layer_of_keras_is_offered_or_explained():
    base = keras.layers.RandomFlip.__mro__[1]
    theirs = {
        name
        for name in dir(keras.layers)
        if isinstance(getattr(keras.layers, name), type) and issubclass(getattr(keras.layers, name), base)
    }
    odd = {"MaxNumBoundingBoxes", "ContrastLimitedAdaptiveHistogramEqualization"}
    assert theirs - odd <= {*COLOR, *GEOMETRY, *ELSEWHERE}


def test_the_layers_run_in_float32_whatever_the_precision():
    images, labels = cells(4, 16)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        low = treat("keras_layers", images, labels)[0]
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.array_equal(low, treat("keras_layers", images, labels)[0])


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([{"RandomFlop": {}}], r"aug.keras_layers.layers\[0\].RandomFlop: no such layer. Did you mean 'RandomFlip'"),
        ([{"RandomFlip": {}}, {"RandomZoom": {"hight_factor": 0.1}}], r"layers\[1\].RandomZoom.hight_factor: unknown key.*'height_factor'"),
        ([{"RandomFlip": {"mode": "sideways"}}], r"layers\[0\].RandomFlip.mode: expected one of 'horizontal'.*received 'sideways'"),
        ([{"RandomRotation": {"factor": 0.1, "fill_mode": "blak"}}], r"layers\[0\].RandomRotation: .*blak"),
        ([{"RandomZoom": {"height_factor": 0.1, "interpolation": "cubic"}}], r"layers\[0\].RandomZoom: .*cubic"),
        ([{"RandomZoom": {}}], r"layers\[0\].RandomZoom: .*height_factor"),
        ([{"MixUp": {}}], r"layers\[0\].MixUp: not possible here. Use aug=mixup"),
        ([{"Resizing": {"height": 8, "width": 8}}], r"layers\[0\].Resizing: not possible here. Use model.image_size"),
        ([{"RandomFlip": {}, "RandomZoom": {}}], r"layers\[0\]: expected a layer's name with its arguments"),
        ([{"RandomFlip": 3}], r"layers\[0\].RandomFlip: expected the layer's arguments"),
        ([{"RandomContrast": {"factor": 0.2, "value_range": [0, 255]}}], r"RandomContrast.value_range: unknown key"),
        ([{"Lambda": {"function": "x"}}], r"layers\[0\].Lambda: no such layer"),
    ],
)
def test_what_is_wrong_with_a_list_is_said(layers, message):
    with pytest.raises(ConfigError, match=message):
        build("aug", "keras_layers", {"layers": layers})


def test_our_layer_turns_only_in_training_and_saves(tmp_path):
    images = noise(200, 4)[0]
    layer = RandomRot90(seed=1)
    assert np.array_equal(layer(images, training=False), images)
    got = layer(images, training=True).numpy()
    assert (quarter_turns(images, got) > 25).all()
    model = keras.Sequential([keras.Input((4, 4, 3)), layer, keras.layers.Flatten(), keras.layers.Dense(1)])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(loaded(tf.constant(images)), model(tf.constant(images)), atol=1e-6)
