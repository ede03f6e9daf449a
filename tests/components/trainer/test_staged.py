import dataclasses

import keras
import numpy as np
import pytest
from keras import layers

from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import build
from malaria_exp.training.trainable_layers import layers_of, set_trainable
from malaria_exp.utils.errors import ConfigError


def train(parts, stages, **params):
    return build("trainer", "staged", {"precision": "float32", "stages": stages, **params}).train(parts)


def watch(states):
    """Builds a callback that notes all weights at every epoch's end."""

    def build_callbacks(context):
        callback = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: states.append({weight.path: weight.numpy() for weight in callback.model.weights})
        )
        return [callback]

    return build_callbacks


def moved(before, after):
    return {path.split("/")[0] for path in before if np.abs(before[path] - after[path]).max() > 0}


CELLNET = ("cellnet", {"image_size": 32, "stem": 4, "widths": [8]})
HEAD, LAST, ALL = (
    {"epochs": 2, "train": ["logit"]},
    {"epochs": 1, "train": ["conv2d_2", "logit"], "learning_rate": 0.5},
    {"epochs": 1, "train": ["*"]},
)


def test_each_stage_moves_its_layers_and_no_others_with_its_rate_and_the_whole_schedule(make_inputs):
    states, rates = [], []

    def build_callbacks(context):
        callback = keras.callbacks.LambdaCallback(
            on_train_batch_begin=lambda batch, logs: rates.append(float(callback.model.optimizer.learning_rate))
        )
        return [callback, *watch(states)(context)]

    parts = make_inputs(model=CELLNET, learning_rate=0.02, callbacks=build_callbacks)
    trained = train(parts, [HEAD, LAST, ALL])
    assert [row["epoch"] for row in trained.history] == [1, 2, 3, 4]
    assert moved(states[0], states[1]) == {"logit"} and moved(states[1], states[2]) == {"conv2d_2", "logit"}
    # Statistics of the normalizations, their scales and offsets stay, as the default says.
    assert moved(states[2], states[3]) == {"conv2d", "conv2d_1", "conv2d_2", "logit"}
    steps = parts.batches.steps_per_epoch
    for epochs, peak, seen in ((2, 0.02, rates[: 2 * steps]), (1, 0.01, rates[2 * steps : 3 * steps]), (1, 0.02, rates[3 * steps :])):
        factor = build("schedule", "cosine", {}, RunLength(epochs, steps, 16))
        assert seen == pytest.approx([peak * float(factor(step)) for step in range(epochs * steps)], rel=1e-5, abs=1e-9)


def test_stopping_ends_the_stage_the_next_goes_on_with_the_next_epoch_and_norms_can_train_too(make_inputs):
    begun, states = [], []

    def build_callbacks(context):
        def stop(epoch, logs):
            callback.model.stop_training = epoch == 0

        callback = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: begun.append(1), on_epoch_end=stop)
        return [callback, *watch(states)(context)]

    stages = [{"epochs": 5, "train": ["logit"]}, {"epochs": 1, "train": ["*"]}]
    trained = train(make_inputs(model=CELLNET, callbacks=build_callbacks), stages, norms="trained")
    assert [row["epoch"] for row in trained.history] == [1, 2]
    assert len(begun) == 2
    assert "batch_normalization" in moved(states[0], states[1])


def test_a_frozen_normalization_uses_the_statistics_it_came_with(make_inputs):
    """Frozen, a net gives in training what it gives in evaluation."""
    net = make_inputs(model=CELLNET).build_model()
    images = np.random.default_rng(0).random((8, 32, 32, 3)).astype(np.float32)
    assert np.abs(net(images, training=True) - net(images, training=False)).max() > 1e-3
    set_trainable(net, ["*"], freeze_norms=True, path="x")
    np.testing.assert_array_equal(net(images, training=True), net(images, training=False))


def test_one_stage_of_all_is_fit(make_inputs):
    staged = train(make_inputs(3), [{"epochs": 1, "train": ["*"]}], norms="trained")
    plain = build("trainer", "fit", {"precision": "float32", "epochs": 1}).train(make_inputs(3))
    for one, two in zip(staged.model.get_weights(), plain.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("stages", "parts"),
    [
        ([HEAD, {"epochs": 1, "train": ["logits"]}], ["trainer.stages[1].train: no layer 'logits'", "Did you mean 'logit'?", "conv2d_2"]),
        ([{"epochs": 1, "train": ["block_*"]}], ["no layer 'block_*'", "Patterns with * are allowed"]),
        ([{"epochs": 1, "train": ["re_lu"]}], ["nothing is left to train: ['re_lu']"]),
        ([{"epochs": 1, "train": []}], ["nothing is left to train: []"]),
        ([], ["trainer.stages: expected at least one stage"]),
        ([{"epochs": 0, "train": ["*"]}], ["trainer.stages[0].epochs: expected a whole number >= 1"]),
        ([{"epochs": 1, "layers": ["*"]}], ["trainer.stages[0].layers: unknown key"]),
        ([{"epochs": 1}], ["trainer.stages[0].train: missing"]),
    ],
)
def test_what_cannot_be_trained_is_said_before_the_first_step(stages, parts, make_inputs):
    made = make_inputs(model=CELLNET)
    with pytest.raises(ConfigError) as caught:
        train(made, stages)
    for part in parts:
        assert part in str(caught.value)
    assert made.tracker.recorder.steps == []


def test_a_schedule_too_long_for_a_later_stage_is_said_before_the_first(make_inputs):
    made = make_inputs()
    steps = made.batches.steps_per_epoch
    long = {"warmup": f"{2 * steps} steps"}
    made = dataclasses.replace(made, build_multiplier=lambda length: build("schedule", "cosine", long, length))
    with pytest.raises(ConfigError, match=rf"schedule.warmup: '{2 * steps} steps' is longer than the run \({steps} steps: "):
        train(made, [{"epochs": 3, "train": ["*"]}, {"epochs": 1, "train": ["*"]}])
    assert made.tracker.recorder.steps == []


def test_layers_inside_nets_inside_are_found():
    inner = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(2, 3, name="deep"), layers.GlobalMaxPooling2D()], name="backbone")
    inputs = keras.Input((8, 8, 3))
    net = keras.Model(inputs, layers.Dense(1, name="logit")(inner(inputs)))
    assert {"deep", "logit"} <= {layer.name for layer in layers_of(net)}
    set_trainable(net, ["logit"], freeze_norms=False, path="x")
    assert {weight.path.split("/")[0] for weight in net.trainable_variables} == {"logit"}
    set_trainable(net, ["deep"], freeze_norms=False, path="x")
    assert len(net.trainable_variables) == 2
