"""A model's layers, parameters and FLOPs are those counted by hand, however the model is written."""

import contextlib

import keras
import pytest
import tensorflow as tf
from keras import layers

from malaria_exp.config.registry import build
from malaria_exp.evaluation.model_flops import flops_by_operation
from malaria_exp.evaluation.model_summary import IMAGE, model_facts


def facts_of(name, **params):
    return model_facts(build("model", name, params))


def test_operations_are_those_counted_by_hand():
    model = keras.Sequential(
        [keras.Input((10, 10, 3)), layers.Conv2D(4, 3, use_bias=False), layers.Flatten(), layers.Dense(5, use_bias=False), layers.Dense(1)]
    )
    facts = model_facts(model)
    # Of the last layer the bias is an addition more.
    assert [layer.flops for layer in facts.layers] == [2 * 8 * 8 * 4 * 27, 0, 2 * 256 * 5, 2 * 5 + 1]
    assert facts.flops == sum(layer.flops for layer in facts.layers)
    assert [layer.parameters for layer in facts.layers] == [4 * 27, 0, 256 * 5, 6]
    assert [layer.shape for layer in facts.layers] == [(8, 8, 4), (256,), (5,), (1,)]


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_attention_counts_the_same_however_keras_computes_it(dropout):
    """Without dropout Keras writes attention as an einsum, of which TensorFlow's profiler knows nothing."""
    facts = facts_of("vit", image_size=32, patch_size=8, width=16, depth=1, heads=2, dropout=dropout)
    attention = next(layer for layer in facts.layers if layer.kind == "MultiHeadAttention")
    tokens, width = 16, 16
    products = 4 * tokens * width * width + 2 * tokens * tokens * width
    # Biases, scaling and softmax are the little that is left.
    assert 2 * products < attention.flops < 2.3 * products


def test_einsums_with_and_without_named_dimensions():
    batched = tf.function(lambda a, b: tf.einsum("...ij,...jk->...ik", a, b))
    concrete = batched.get_concrete_function(tf.TensorSpec((2, 3, 4, 5)), tf.TensorSpec((2, 3, 5, 6)))
    assert sum(flops_by_operation(concrete).values()) == 2 * 2 * 3 * 4 * 5 * 6
    summed = tf.function(lambda a, b: tf.einsum("bij,bij->b", a, b))
    concrete = summed.get_concrete_function(tf.TensorSpec((2, 4, 5)), tf.TensorSpec((2, 4, 5)))
    assert sum(flops_by_operation(concrete).values()) == 2 * 2 * 4 * 5


@pytest.mark.parametrize("way", ["sequential", "subclassed", "callable", "layer", "custom_dense"])
def test_the_ways_of_writing_lenet_have_the_same_layers(way):
    def of(name):
        facts = facts_of(f"lenet_{name}", image_size=40)
        return [(layer.kind.removeprefix("Custom"), layer.shape, layer.parameters, layer.reads) for layer in facts.layers], facts.flops

    assert of(way) == of("functional")


def test_additions_of_a_subclassed_model_are_found():
    functional, subclassed = (facts_of(name, image_size=32, width=4) for name in ("resnet_functional", "resnet_subclassed"))
    assert functional.flops == subclassed.flops
    assert functional.parameters == subclassed.parameters == sum(layer.parameters for layer in subclassed.layers)
    additions = [[layer for layer in facts.layers if layer.kind == "Add"] for facts in (functional, subclassed)]
    assert [len(found) for found in additions] == [8, 8]
    assert [layer.shape for layer in additions[0]] == [layer.shape for layer in additions[1]]
    assert all(len(layer.reads) == 2 for found in additions for layer in found)
    assert [layer.inside for layer in additions[1]][-1] == ("stage4_block2",)


def test_branches_are_followed_to_their_sources():
    inputs = keras.Input((8, 8, 3))
    left, right = layers.Conv2D(2, 3, padding="same", name="left")(inputs), layers.Conv2D(2, 3, padding="same", name="right")(inputs)
    joined = layers.Concatenate(name="joined")([left, layers.Dropout(0.5, name="dropped")(right)])
    facts = model_facts(keras.Model(inputs, layers.Dense(1, name="logit")(layers.Flatten(name="flat")(joined))))
    names = [layer.name for layer in facts.layers]
    reads = {layer.name: {names[source] if source != IMAGE else "image" for source in layer.reads} for layer in facts.layers}
    assert reads == {
        "left": {"image"},
        "right": {"image"},
        "dropped": {"right"},
        "joined": {"left", "dropped"},
        "flat": {"joined"},
        "logit": {"flat"},
    }


def test_a_layer_called_twice_counts_once_and_weights_of_a_block_count():
    class Scaled(layers.Layer):
        def __init__(self):
            super().__init__(name="scaled")
            self.dense = layers.Dense(3)
            self.scale = self.add_weight(shape=(3,), name="scale")

        def call(self, x):
            return self.dense(self.dense(x)) * self.scale

    model = keras.Sequential([keras.Input((4, 4, 3)), Scaled(), layers.Flatten(), layers.Dense(1, name="logit")])
    facts = model_facts(model)
    assert [(layer.kind, layer.parameters) for layer in facts.layers] == [
        ("Dense", 12),
        ("Dense", 0),
        ("Scaled", 3),
        ("Flatten", 0),
        ("Dense", 49),
    ]
    assert sum(layer.parameters for layer in facts.layers) == model.count_params() == facts.parameters


def test_operations_of_inner_functions_are_counted():
    class Product(layers.Layer):
        @tf.function
        def call(self, x):
            return tf.matmul(x, tf.ones((6, 7)))

    facts = model_facts(keras.Sequential([keras.Input((1, 2, 3)), layers.Flatten(), Product(), layers.Dense(1, use_bias=False)]))
    assert [layer.flops for layer in facts.layers] == [0, 2 * 6 * 7, 2 * 7]


def test_the_model_is_left_as_it_was():
    class Failing(keras.layers.Layer):
        fails = False

        def call(self, x):
            if self.fails:
                raise ValueError("failed")
            return x

    model = keras.Sequential([keras.Input((4, 4, 3)), Failing(), keras.layers.Flatten()])
    for Failing.fails in (False, True):
        with pytest.raises(ValueError, match="failed") if Failing.fails else contextlib.nullcontext():
            model_facts(model)
        assert not [layer.name for layer in model._flatten_layers() if "call" in vars(layer)]
