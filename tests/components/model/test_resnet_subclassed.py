import keras
import numpy as np
import pytest

from malaria_exp.components.model.layers.resnet_model import ConvNorm, ResidualBlock, ResNet
from malaria_exp.config.registry import build, component

SHAPES = [{"depth": 18, "stem": "3x3"}, {"depth": 34, "stem": "7x7", "momentum": 0.5}]


def by_name(model):
    """Weights by their place in the net, which the two nets write alike: stage2_block1_past_conv/kernel."""
    found = {}
    for weight in model.weights:
        *place, kind = weight.path.removeprefix(f"{model.name}/").split("/")
        found[f"{'_'.join(place)}/{kind}"] = weight
    return found


def test_it_takes_the_parameters_of_the_functional_one():
    one, other = (component("model", name).parameters for name in ("resnet_functional", "resnet_subclassed"))
    assert one == other


@pytest.mark.parametrize("shape", SHAPES)
def test_weights_copied_over_give_the_same_outputs(shape):
    params = {"image_size": 40, "width": 3, **shape}
    one, other = build("model", "resnet_functional", params), build("model", "resnet_subclassed", params)
    from_weights, to_weights = by_name(one), by_name(other)
    assert from_weights.keys() == to_weights.keys()
    rng = np.random.default_rng(0)
    for name, weight in from_weights.items():
        value = rng.uniform(0.5, 1.5, weight.shape) if "norm" in name else rng.normal(0, 0.2, weight.shape)
        weight.assign(value)
        to_weights[name].assign(value)
    images = rng.random((4, 40, 40, 3), dtype=np.float32)
    for training in (False, True):
        expected = one(images, training=training).numpy()
        assert np.ptp(expected) > 1e-3
        np.testing.assert_allclose(other(images, training=training), expected, rtol=1e-4, atol=1e-5)
    # In training mode the running statistics moved, by the same momentum.
    for name, weight in from_weights.items():
        np.testing.assert_allclose(to_weights[name], weight, rtol=1e-4, atol=1e-5, err_msg=name)


def test_one_seed_begins_both_alike():
    weights = []
    for name in ("resnet_functional", "resnet_subclassed"):
        keras.utils.set_random_seed(3)
        weights.append(by_name(build("model", name, {"image_size": 32, "width": 3})))
    for name, weight in weights[0].items():
        np.testing.assert_array_equal(weights[1][name], weight, err_msg=name)


def test_each_class_is_made_again_by_its_config():
    for made in (
        ConvNorm(5, 3, 2, 0.75, name="mine", dtype="mixed_bfloat16"),
        ResidualBlock(5, 2, 0.75, name="mine", dtype="mixed_bfloat16"),
        ResNet(32, 34, 3, "7x7", 0.75, name="mine", dtype="mixed_bfloat16"),
    ):
        again = type(made).from_config(made.get_config())
        assert again.get_config() == made.get_config()
        inner = [layer for layer in again._flatten_layers(include_self=False) if layer.name != "logit"]
        assert {layer.compute_dtype for layer in inner} == {"bfloat16"}
        assert {layer.momentum for layer in inner if type(layer).__name__ == "BatchNormalization"} == {0.75}


def test_a_strided_convolution_gives_the_shape_it_says():
    layer = ConvNorm(5, 3, 2, 0.9)
    assert layer.compute_output_shape((None, 9, 9, 3)) == (None, 5, 5, 5)
    assert layer(np.zeros((1, 9, 9, 3), np.float32)).shape == (1, 5, 5, 5)
