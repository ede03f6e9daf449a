import keras
import numpy as np
import pytest
import tensorflow as tf

from malaria_exp.components.model.layers.custom_dense import CustomDense
from malaria_exp.config.registry import build

X = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)


@pytest.mark.parametrize("activation", [None, "relu", keras.ops.tanh])
def test_it_computes_what_keras_own_does(activation):
    own, theirs = (
        layer(3, activation=activation, kernel_regularizer=keras.regularizers.L2(0.5)) for layer in (CustomDense, keras.layers.Dense)
    )
    results = []
    for layer in (own, theirs):
        layer.build(X.shape)
        layer.set_weights([np.arange(-6, 6, dtype=np.float32).reshape(4, 3), np.array([0.5, -1, 2], np.float32)])
        with tf.GradientTape() as tape:
            out = layer(X)
            total = tf.reduce_sum(tf.square(out)) + layer.losses[0]
        results.append([out, total, *tape.gradient(total, layer.trainable_variables)])
    for one, two in zip(*results, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5)


def test_its_first_weights_are_those_of_keras_own():
    weights = []
    for layer in (CustomDense, keras.layers.Dense):
        keras.utils.set_random_seed(1)
        made = layer(3)
        made.build(X.shape)
        weights.append(made.get_weights())
    np.testing.assert_array_equal(weights[0][0], weights[1][0])
    np.testing.assert_array_equal(weights[0][1], np.zeros(3))


def test_its_config_makes_it_again():
    layer = CustomDense(3, activation="relu", kernel_regularizer=keras.regularizers.L2(0.5), dtype="mixed_bfloat16", name="mine")
    again = CustomDense.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    again.build(X.shape)
    assert (again(X).dtype, again.kernel.dtype) == ("bfloat16", "float32")
    assert float(again(X).numpy().min()) == 0.0
    again.set_weights([np.ones((4, 3), np.float32), np.zeros(3, np.float32)])
    assert float(again.losses[0]) == pytest.approx(6.0)


def test_the_net_has_no_other_dense_layer():
    model = build("model", "lenet_custom_dense", {"image_size": 32})
    assert [layer.units for layer in model.layers if isinstance(layer, CustomDense)] == [100, 10, 1]
    assert not [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
