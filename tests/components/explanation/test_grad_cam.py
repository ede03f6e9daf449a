"""Grad-CAM finds a layer in every model of the registry, and weighs it as the paper says."""

import keras
import numpy as np
import pytest
from keras import layers

from malaria_exp.components.explanation.grad_cam import parts_of
from malaria_exp.components.model.layers.mean_logit import MeanLogit
from malaria_exp.config.registry import build, options
from malaria_exp.deployment.explanations.explained_model import ExplainedModel
from malaria_exp.training.views import with_views
from malaria_exp.utils.errors import ConfigError

SMALL = {
    "cellnet": {"stem": 4, "widths": [8]},
    "resnet_functional": {"width": 4},
    "resnet_subclassed": {"width": 4},
    "vit": {"depth": 1, "width": 16, "heads": 2},
}
IMAGES = np.random.default_rng(0).integers(0, 255, (2, 32, 32, 3), dtype=np.uint8)


def maps(network, images=IMAGES, **keys):
    return build("explanation", "grad_cam", keys)(ExplainedModel(network, network, lambda _: np.zeros(1)), images)


def ensemble(network):
    """An ensemble of a model and of its average over four views."""
    inputs, other = keras.Input((32, 32, 3)), with_views(network, 4)
    other.name = "other"
    return keras.Model(inputs, MeanLogit("logit")([network(inputs), other(inputs)]))


@pytest.mark.long
@pytest.mark.parametrize("name", sorted({*options("model")} - {"ensemble"}))
def test_every_model_has_a_map(name):
    keras.utils.set_random_seed(0)
    network = build("model", name, {"image_size": 32, **SMALL.get(name, {})})
    found = maps(network)
    assert found.shape[0] == 2 and found.shape[1] == found.shape[2] > 1
    assert np.isfinite(found).all() and np.ptp(found, axis=(1, 2)).min() > 0
    # Cells do not depend on what is explained with them.
    assert np.allclose(found[:1], maps(network, IMAGES[:1]), rtol=1e-3, atol=1e-5 * np.abs(found).max())


@pytest.mark.parametrize("name", ["lenet_subclassed", "vit"])
def test_the_members_of_an_ensemble_are_added_up_also_if_they_look_at_several_views(name):
    network = build("model", name, {"image_size": 32, **SMALL.get(name, {})})
    together = ensemble(network)
    assert len(parts_of(together)) == 2
    assert maps(together).shape == maps(network).shape


def test_members_may_have_maps_of_different_sizes():
    members = [build("model", name, {"image_size": 32, **SMALL.get(name, {})}) for name in ("lenet_functional", "cellnet")]
    edges = {maps(member).shape[1] for member in members}
    inputs = keras.Input((32, 32, 3))
    together = keras.Model(inputs, MeanLogit("probability")([member(inputs) for member in members]))
    assert len(edges) == 2 and maps(together).shape[1] == max(edges)


def test_the_layer_is_the_last_with_enough_places_and_its_activation_done():
    network = build("model", "cellnet", {"image_size": 64, "stem": 4, "widths": [8, 8, 8]})
    images = np.random.default_rng(0).integers(0, 255, (1, 64, 64, 3), dtype=np.uint8)
    # Stages of 16, 8 and 4 places; the third begins with a convolution that still has 8, before pooling.
    added = [layer.name for layer in network.layers if isinstance(layer, layers.Add)]
    assert np.allclose(maps(network, images), maps(network, images, layer=added[1]))
    assert maps(network, images).shape == (1, 8, 8)


def test_features_are_weighed_by_their_mean_gradients():
    inputs = keras.Input((32, 32, 3))
    features = layers.Conv2D(4, 4, 4, name="features")(inputs)
    network = keras.Model(inputs, layers.Dense(1)(layers.GlobalAveragePooling2D()(features)))
    weights = network.layers[-1].kernel.numpy()[:, 0]
    values = keras.Model(inputs, features)(IMAGES.astype(np.float32) / 255).numpy()
    assert np.allclose(maps(network), values @ weights / 64, atol=1e-5)


def test_a_layer_can_be_named_and_one_that_has_no_map_or_is_not_there_is_refused():
    network = build("model", "cellnet", {"image_size": 32, **SMALL["cellnet"]})
    first = next(layer.name for layer in network.layers if isinstance(layer, layers.Conv2D))
    assert maps(network, layer=first).shape == (2, 16, 16)
    for name in ("logit", first + "x"):
        with pytest.raises(ConfigError, match=rf"explanation.grad_cam.layer: no layer '{name}'"):
            maps(network, layer=name)


def test_a_model_without_places_is_refused_with_what_to_do():
    network = keras.Sequential([keras.Input((32, 32, 3)), layers.Flatten(), layers.Dense(1)])
    with pytest.raises(ConfigError, match=r"no layer of .* gives a map.*explanation=\[occlusion,integrated_gradients\]"):
        maps(network)
