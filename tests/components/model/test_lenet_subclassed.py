import keras
import numpy as np

from malaria_exp.components.model.layers.lenet_model import LeNet
from malaria_exp.config.registry import build

NUMBERS = {
    "image_size": 24,
    "filters": 3,
    "filters_2": 5,
    "kernel_size": 5,
    "units": 7,
    "units_2": 4,
    "dropout": 0.5,
    "l2": 0.25,
    "momentum": 0.75,
}


def test_its_config_holds_every_number_and_makes_it_again():
    model = build("model", "lenet_subclassed", NUMBERS)
    config = model.get_config()
    assert {key: config[key] for key in NUMBERS} == NUMBERS
    again = type(model).from_config(config)
    assert again.get_config() == config
    again(keras.Input((24, 24, 3)))
    assert again.count_params() == model.count_params()


def test_its_layers_compute_in_the_models_precision():
    model = LeNet(**NUMBERS, dtype="mixed_bfloat16")
    assert {layer.compute_dtype for layer in model.layers if layer is not model.logit} == {"bfloat16"}
    assert model(np.zeros((1, 24, 24, 3), np.float32)).dtype == "float32"
