import numpy as np
import pytest

from malaria_exp.components.model.layers.lenet_features import LeNetFeatures
from malaria_exp.config.registry import build


def test_the_layers_config_makes_it_again():
    layer = LeNetFeatures(3, 5, 7, dropout=0.5, l2=0.25, momentum=0.75, name="mine", dtype="mixed_bfloat16")
    again = LeNetFeatures.from_config(layer.get_config())
    assert again.get_config() == layer.get_config() and again.compute_dtype == "bfloat16"
    assert {step.compute_dtype for step in again.steps} == {"bfloat16"}
    first, norm, _, dropout, second, *_ = again.steps
    assert (first.filters, second.filters, first.kernel_size, second.kernel_size) == (3, 5, (7, 7), (7, 7))
    assert (norm.momentum, dropout.rate) == (0.75, 0.5)
    assert float(second.kernel_regularizer.l2) == pytest.approx(0.25)


def test_the_layer_takes_pictures_of_other_sizes():
    layer = LeNetFeatures(3, 5, 3, dropout=0.0, l2=0.0, momentum=0.9)
    assert [layer(np.zeros((1, size, size, 3), np.float32)).shape[1] for size in (32, 40)] == [6, 8]


def test_the_layer_is_one_of_the_model():
    model = build("model", "lenet_layer", {"image_size": 32, "filters_2": 5})
    assert model.get_layer("features")(np.zeros((2, 32, 32, 3), np.float32)).shape == (2, 6, 6, 5)
