import keras
import numpy as np
import pytest
from keras import layers
from small_network import small_network

from malaria_exp.deployment.explanations.randomization import hardly_changed, layers_from_top, randomize, similarity

CELL = np.ones((24, 24), bool)


def test_the_same_map_is_1_its_negative_is_minus_1_and_noise_is_about_0():
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, 24, 24))
    assert similarity(one, 3 * one, CELL) == pytest.approx((1, 1))
    assert similarity(one, -one, CELL)[0] == pytest.approx(-1)
    assert np.abs(similarity(one, other, CELL)).max() < 0.15
    assert similarity(one, np.zeros_like(one), CELL) == (0, 0)


def test_layers_are_found_from_the_top_in_nested_models_too():
    base = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(2, 3, name="low"), layers.Conv2D(2, 3, name="middle")])
    model = keras.Sequential([keras.Input((8, 8, 3)), base, layers.Flatten(), layers.Dense(1, name="top")])
    found = layers_from_top(model, np.zeros((1, 8, 8, 3), np.uint8))
    assert [name for name, _ in found] == ["top", "middle", "low"]
    assert sum(len(weights) for _, weights in found) == len(model.weights)


def test_a_method_that_shows_the_picture_is_found_out_and_the_weights_come_back():
    keras.utils.set_random_seed(0)
    trained, fresh = small_network(), small_network()
    images = np.random.default_rng(0).integers(50, 255, (3, 32, 32, 3), dtype=np.uint8)
    before = [weight.numpy() for weight in trained.weights]
    kernel = trained.layers[0].kernel

    def draw():
        # One map is the picture itself, the other a pattern of the lowest layer's weights.
        pattern = np.resize(kernel.numpy().ravel(), (32, 32))
        return {"edges": images.mean(axis=3), "learned": np.stack([pattern] * 3)}

    stages = randomize(trained, fresh, images, draw)
    assert [stage.layers for stage in stages] == [1, 2, 3]
    assert stages[0].spearman["learned"] == pytest.approx(1)
    assert abs(stages[-1].spearman["learned"]) < 0.4 and stages[-1].spearman["edges"] == pytest.approx(1)
    (warning,) = hardly_changed(stages)
    assert "edges" in warning and hardly_changed([]) == []
    for weight, value in zip(trained.weights, before, strict=True):
        assert np.array_equal(weight.numpy(), value)
