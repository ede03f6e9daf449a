"""What a detector looks at, of every model of the registry, and the Keras model that holds the detector."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from malaria_exp.config.registry import build, options
from malaria_exp.evaluation.logit_map import LogitMap
from malaria_exp.evaluation.ood import Features, fit_detector
from malaria_exp.training.ood_features import IMAGE_PARTS, MODEL_PARTS, choose_taps, features, image_features, parts_of
from malaria_exp.training.ood_model import with_ood

MODELS = sorted(set(options("model")) - {"ensemble"})
IMAGES = np.random.default_rng(0).random((24, 32, 32, 3), dtype=np.float32)
CALIBRATION = LogitMap(calibrated=[0.3], slope=2.0)


@pytest.fixture(autouse=True)
def plain_precision():
    keras.config.set_dtype_policy("float32")


def detector_of(model, name):
    taps = choose_taps(model)
    _, found = features(model, taps, tf.constant(IMAGES))
    values = [value.numpy() for value in found]
    patients = np.repeat(np.arange(6).astype(str), 4)
    train, val = (Features([value[part] for value in values], patients[part]) for part in (slice(0, 20), slice(20, 24)))
    return fit_detector(name, build("ood", name, {}), parts_of(taps), taps, train, val, seed=0), values


@pytest.mark.long
@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_looked_into_at_four_depths_and_is_as_it_was_before(name):
    model = build("model", name, {"image_size": 32} | ({"backbone": "vgg16"} if name == "transfer" else {}))
    before = model(IMAGES, training=False).numpy()
    detector, values = detector_of(model, "mahalanobis")
    assert tuple(part.words for part in detector.parts) == IMAGE_PARTS + MODEL_PARTS
    # The last is what the last layer reads: from it follow the logits.
    last = next(layer for layer in model._flatten_layers() if layer.name == "logit")
    np.testing.assert_allclose(last(values[-1]), before, rtol=1e-4, atol=1e-4)
    found = with_ood(model, CALIBRATION, detector)(IMAGES)
    np.testing.assert_allclose(found["logit"], 2 * before + 0.3, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found["ood"], detector.scores(values), rtol=2e-3, atol=2e-3)
    assert not any("call" in vars(layer) for layer in model._flatten_layers())


def test_nearest_neighbors_say_the_same_in_a_graph_of_any_batch_and_inside_of_another_model():
    model = build("model", "lenet_subclassed", {"image_size": 32})
    detector, values = detector_of(model, "knn")
    whole = with_ood(model, LogitMap(), detector)
    graph = tf.function(whole, input_signature=[tf.TensorSpec((None, 32, 32, 3), tf.float32)])
    inputs = keras.Input((32, 32, 3))
    outer = keras.Model(inputs, whole(inputs))
    for count in (1, 24):
        for found in (graph(IMAGES[:count]), outer(IMAGES[:count])):
            np.testing.assert_allclose(found["ood"], detector.scores([value[:count] for value in values]), rtol=2e-3, atol=2e-3)


@keras.saving.register_keras_serializable(package="tests")
class Sealed(keras.layers.Layer):
    """A whole model in one layer, which shows nothing of what it computes."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(3, 1), name="kernel")

    def call(self, x):
        return keras.ops.mean(x, axis=(1, 2)) @ self.kernel


def test_of_a_model_that_cannot_be_looked_into_the_image_is_left():
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, Sealed()(inputs))
    detector, _ = detector_of(model, "mahalanobis")
    assert tuple(part.words for part in detector.parts) == IMAGE_PARTS and detector.taps == ()
    assert with_ood(model, CALIBRATION, detector)(IMAGES)["ood"].shape == (24, 3)


@pytest.mark.parametrize("size", [16, 33, 64])
def test_statistics_of_an_image_are_finite_and_know_black_noise_and_blur(size):
    draw = np.random.default_rng(0)
    sharp = draw.uniform(0.3, 0.9, (1, size, size, 3)).astype(np.float32)
    images = np.concatenate([np.zeros_like(sharp), np.ones_like(sharp), sharp, np.full_like(sharp, 0.6)])
    outline, color, sharpness = (found.numpy() for found in image_features(tf.constant(images)))
    assert all(np.isfinite(found).all() for found in (outline, color, sharpness))
    np.testing.assert_allclose(outline[:, 0], [0, 1, 1, 1], atol=1e-6)
    assert (sharpness[2] > sharpness[3] + 1).all() and (color[2, 4:] > color[3, 4:] + 2).all()
