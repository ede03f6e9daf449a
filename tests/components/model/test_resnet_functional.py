import keras
import numpy as np
import pytest

from malaria_exp.config.registry import build
from malaria_exp.utils.errors import ConfigError


@pytest.mark.parametrize(("depth", "parameters"), [(18, 11_176_512), (34, 21_284_672)])
def test_it_is_the_papers_net_to_the_parameter(depth, parameters):
    # torchvision's resnet18 and resnet34 without their 1000 classes; here one logit follows.
    model = build("model", "resnet_functional", {"image_size": 64, "depth": depth, "width": 64, "stem": "7x7"})
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_variables) == parameters + 513


@pytest.mark.parametrize(("stem", "edges"), [("3x3", [32, 32, 16, 8, 4]), ("7x7", [32, 16, 8, 4, 2])])
def test_each_stage_halves_the_picture_and_doubles_the_filters(stem, edges):
    model = build("model", "resnet_functional", {"width": 3, "stem": stem})
    shapes = [model.get_layer(name).output.shape for name in ("stem", *(f"stage{number}_block2" for number in (1, 2, 3, 4)))]
    assert shapes == [(None, edge, edge, 3 * factor) for edge, factor in zip(edges, (1, 1, 2, 4, 8), strict=True)]


def test_a_block_that_adds_nothing_passes_its_input_on():
    model = build("model", "resnet_functional", {"image_size": 32, "width": 4})
    for layer in model.layers:
        if layer.name.startswith("stage1") and layer.name.endswith("second_norm"):
            gamma, *rest = layer.get_weights()
            layer.set_weights([np.zeros_like(gamma), *rest])
    both = keras.Model(model.input, [model.get_layer("stem").output, model.get_layer("stage1_block2").output])
    before, after = both(np.random.default_rng(0).random((2, 32, 32, 3), dtype=np.float32), training=False)
    assert float(np.max(before)) > 0.1
    np.testing.assert_array_equal(before, after)


def test_momentum_reaches_every_normalization():
    model = build("model", "resnet_functional", {"image_size": 32, "width": 2, "momentum": 0.25})
    norms = [layer for layer in model.layers if type(layer).__name__ == "BatchNormalization"]
    # One a convolution: the stem, two in each of eight blocks, and three on the way past where the picture shrinks.
    assert len(norms) == 1 + 2 * 8 + 3
    assert {layer.momentum for layer in norms} == {0.25}


@pytest.mark.parametrize("name", ["resnet_functional", "resnet_subclassed"])
def test_a_picture_too_small_for_the_large_stem_is_refused(name):
    with pytest.raises(ConfigError, match=r"model\.image_size: 31 is too small for model\.stem=7x7.*32.*3x3"):
        build("model", name, {"image_size": 31, "stem": "7x7"})
