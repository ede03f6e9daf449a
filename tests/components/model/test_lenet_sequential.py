import pytest

from malaria_exp.config.registry import build


def test_layers_stand_in_the_notebooks_order():
    model = build("model", "lenet_sequential", {"image_size": 32})
    kinds = [type(layer).__name__ for layer in model.layers]
    convolution = ["Conv2D", "BatchNormalization", "MaxPooling2D"]
    dense = ["Dense", "BatchNormalization"]
    assert kinds == [*convolution, "Dropout", *convolution, "Flatten", *dense, "Dropout", *dense, "Dense"]


def test_every_number_is_a_parameter():
    model = build(
        "model",
        "lenet_sequential",
        {
            "image_size": 40,
            "filters": 3,
            "filters_2": 5,
            "kernel_size": 5,
            "units": 7,
            "units_2": 4,
            "dropout": 0.5,
            "l2": 0.1,
            "momentum": 0.5,
        },
    )
    by_kind = {}
    for layer in model.layers:
        by_kind.setdefault(type(layer).__name__, []).append(layer)
    assert [layer.filters for layer in by_kind["Conv2D"]] == [3, 5]
    assert {layer.kernel_size for layer in by_kind["Conv2D"]} == {(5, 5)}
    assert [layer.units for layer in by_kind["Dense"]] == [7, 4, 1]
    assert {layer.rate for layer in by_kind["Dropout"]} == {0.5}
    assert {layer.momentum for layer in by_kind["BatchNormalization"]} == {0.5}
    penalized = [layer for layer in model.layers if getattr(layer, "kernel_regularizer", None) is not None]
    assert len(penalized) == 4
    assert all(float(layer.kernel_regularizer.l2) == pytest.approx(0.1) for layer in penalized)
