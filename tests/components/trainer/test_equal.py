"""fit, the loop and the eager loop: one training, three ways to walk through it."""

import dataclasses
from functools import partial

import keras
import numpy as np
import pytest
from keras import layers
from small_network import small_network
from tensorflow.python.framework.config import is_op_determinism_enabled

from malaria_exp.components.sampling.patient_balanced import patient_weights
from malaria_exp.config.registry import build
from malaria_exp.data.sampling import Sampling
from malaria_exp.evaluation.metrics import compute
from malaria_exp.evaluation.predictions import sigmoid
from malaria_exp.training.predict import Scorer
from malaria_exp.training.session import Session
from malaria_exp.training.settings import Settings, Stage
from malaria_exp.utils.errors import ConfigError

WAYS = {"fit": ("fit", {}), "loop": ("loop", {}), "eager": ("loop", {"eager": True})}


def train(parts, way, **params):
    name, own = WAYS[way]
    return build("trainer", name, {"precision": "float32", "epochs": 2, **own, **params}).train(parts)


def weights_of_patients(data):
    labels, patients = data.training_labels()
    return Sampling(weights=patient_weights(patients) * np.linspace(0.2, 3, len(labels)).astype(np.float32))


# What is set, and who walks: single operations in sixteen bits are slow. Without dropout's and clipping's company steps are those of SGD:
# AdamW's are as long for a gradient of nearly nothing, and then the last bits of a sum, which differ from CPU to CPU, decide where they go.
CASES = {
    "float16": ({}, {"precision": "float16", "epochs": 1}, ["loop"]),
    "penalties, dropout, sample weights, accumulation, average and clipping": (
        {"sampling": "weights", "clip_norm": 1.0, "weight_decay": 0.05},
        {"accumulate": 3, "ema": 0.8},
        ["loop", "eager"],
    ),
    "the cells that are not yet easy": (
        {
            "optimizer": "sgd",
            "sampling": build("sampling", "hard_examples", {"warm_epochs": 1, "warm_steps": 0, "fraction": 0.5}, np.zeros(0), None),
        },
        {"epochs": 3},
        ["loop", "eager"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_same_weights_and_numbers(case, make_inputs, trainer_data):
    made, params, others = CASES[case]
    if made.get("sampling") == "weights":
        made = {**made, "sampling": weights_of_patients(trainer_data)}
    flips = [build("aug", "dihedral", {})]
    trained = {way: train(make_inputs(5, augmentations=flips, metrics=("accuracy",), **made), way, **params) for way in ("fit", *others)}
    # The order in which sums are taken differs between a graph and single operations: more so in sixteen bits.
    loose = 0.01 if case == "float16" else 2e-4
    for way in others:
        for one, two in zip(trained["fit"].model.get_weights(), trained[way].model.get_weights(), strict=True):
            np.testing.assert_allclose(two, one, rtol=loose, atol=loose, err_msg=way)
        for one, two in zip(trained["fit"].history, trained[way].history, strict=True):
            assert list(one) == list(two)
            for name in ("loss", "accuracy", "val_loss", "val_log_loss", "learning_rate"):
                assert two[name] == pytest.approx(one[name], rel=10 * loose, abs=10 * loose), (way, name)
        assert trained[way].best_epoch == trained["fit"].best_epoch


@pytest.fixture(scope="module")
def unadorned(make_inputs_in, tmp_path_factory):
    """Weights after an epoch without any of it."""
    return train(make_inputs_in(tmp_path_factory.mktemp("unadorned"), 1), "eager", epochs=1).model.get_weights()


@pytest.mark.parametrize(
    ("made", "params"),
    [
        ({"sampling": "weights"}, {}),
        ({"model": partial(small_network, l2=0.0)}, {}),
        ({"clip_norm": 1e-3}, {}),
        ({}, {"accumulate": 2}),
        ({}, {"ema": 0.9}),
    ],
    ids=["sample weights", "no penalties", "clipping", "accumulation", "average"],
)
def test_none_of_it_is_ignored(made, params, make_inputs, trainer_data, unadorned):
    """What the equality above compares would also be equal if all three did nothing."""
    if made.get("sampling") == "weights":
        made = {"sampling": weights_of_patients(trainer_data)}
    other = train(make_inputs(1, **made), "eager", epochs=1, **params)
    pairs = zip(unadorned, other.model.get_weights(), strict=True)
    assert max(np.abs(one - two).max() for one, two in pairs) > 1e-3


@pytest.mark.parametrize("way", WAYS)
def test_callbacks_hear_everything_in_order_and_may_scale_the_rate(way, make_inputs):
    heard = []

    class Listener(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            heard.append(("begin", self.model.optimizer is not None, self.params["epochs"]))

        def on_epoch_begin(self, epoch, logs=None):
            heard.append(("epoch", epoch))

        def on_train_batch_begin(self, batch, logs=None):
            heard.append(("step", batch))

        def on_train_batch_end(self, batch, logs=None):
            heard.append(("stepped", batch, sorted(logs)))

        def on_epoch_end(self, epoch, logs=None):
            heard.append(("epoch done", epoch, logs["epoch"], "val_auc" in logs, "learning_rate" in logs))
            self.model.stop_training = epoch == 1

        def on_train_end(self, logs=None):
            heard.append(("end",))

    class Halve(keras.callbacks.Callback):
        def __init__(self, context):
            super().__init__()
            self.context = context

        def on_epoch_end(self, epoch, logs=None):
            self.context.rate_scale.assign(self.context.rate_scale * 0.5)

    parts = make_inputs(schedule="constant", learning_rate=0.02, callbacks=lambda context: [Listener(), Halve(context)])
    trained = train(parts, way, epochs=5)
    steps = parts.batches.steps_per_epoch
    expected = [("begin", True, 5)]
    for epoch in range(2):
        expected.append(("epoch", epoch))
        for step in range(steps):
            expected += [("step", step), ("stepped", step, ["accuracy", "loss"])]
        expected.append(("epoch done", epoch, epoch + 1, True, True))
    assert heard == [*expected, ("end",)]
    assert [row["learning_rate"] for row in trained.history] == pytest.approx([0.02, 0.01])


def test_accumulated_batches_make_one_update_and_the_schedule_still_spans_the_run(make_inputs):
    seen = []

    class Watch:
        def __call__(self, context):
            def look(batch, logs):
                seen.append((int(self.callback.model.optimizer.iterations), float(self.callback.model.optimizer.learning_rate)))

            self.callback = keras.callbacks.LambdaCallback(on_train_batch_end=look)
            return [self.callback]

    parts = make_inputs(schedule="cosine", callbacks=Watch())
    train(parts, "eager", epochs=2, accumulate=4)
    steps = 2 * parts.batches.steps_per_epoch
    assert [update for update, _ in seen] == [(step + 1) // 4 for step in range(steps)]
    factor = build("schedule", "cosine", {}, parts.tracker.recorder.length)
    # After a step the optimizer tells the rate of the next one.
    assert [rate for _, rate in seen] == pytest.approx([0.01 * float(factor(step + 1)) for step in range(steps)], rel=1e-5, abs=1e-9)


def test_compiled_by_xla_it_is_the_same_training_and_later_ones_are_repeatable_again(make_inputs):
    def pooling_net():
        return keras.Sequential(
            [keras.Input((32, 32, 3)), layers.Conv2D(2, 4, 4), layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(1, name="logit")]
        )

    made = dataclasses.replace(make_inputs(1), build_model=pooling_net)
    settings = Settings((Stage(1),), monitor="val_auc", precision="float32", jit_compile=True)
    assert Session(settings, made).compile(settings.stages[0], 0).jit_compile, "fit compiles its step"
    compiled = train(made, "loop", epochs=1, jit_compile=True)
    assert not is_op_determinism_enabled()
    plain = train(made, "loop", epochs=1)
    assert is_op_determinism_enabled()
    for one, two in zip(plain.model.get_weights(), compiled.model.get_weights(), strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-4)


def test_plain_python_is_not_compiled(make_inputs):
    for way in WAYS:
        with pytest.raises(ConfigError, match=r"trainer\.jit_compile: true is not possible with trainer\.eager=true"):
            train(make_inputs(), way, **{"eager": True, "jit_compile": True})


def test_a_run_too_short_for_an_update_is_refused_before_it_starts(make_inputs):
    parts = make_inputs()
    steps = parts.batches.steps_per_epoch
    with pytest.raises(ConfigError, match=rf"trainer\.accumulate: {steps + 1} batches make one update, and the run has {steps} "):
        train(parts, "fit", epochs=1, accumulate=steps + 1)
    assert parts.tracker.recorder.steps == []


@pytest.mark.parametrize("way", ["fit", "loop"])
def test_a_bad_step_in_float16_is_left_out(way, make_inputs):
    """A loss beyond what sixteen bits hold: the scale falls, the weights stay numbers."""

    class Steep(keras.losses.Loss):
        def call(self, y_true, y_pred):
            return keras.ops.squeeze(y_pred, -1) ** 2 * 1e4

    trained = train(make_inputs(loss=Steep()), way, precision="float16", epochs=1)
    assert all(np.isfinite(weight).all() for weight in trained.model.get_weights())


@pytest.mark.parametrize("way", ["fit", "loop"])
def test_the_last_epochs_weights_are_kept_if_asked_averaged_or_not(way, make_inputs):
    seen = []

    def watch(context):
        return [keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(context.model.get_weights()))]

    parts = make_inputs(learning_rate=0.05, callbacks=watch)
    trained = train(parts, way, epochs=3, keep="last", monitor="val_log_loss", ema=0.5 if way == "fit" else None)
    values = [row["val_log_loss"] for row in trained.history]
    assert (trained.best_epoch, trained.best) == (3, values[-1])
    for one, two in zip(trained.model.get_weights(), seen[-1], strict=True):
        np.testing.assert_array_equal(one, two)
    assert not any("best epoch" in note for note in trained.notes)


def test_the_average_is_what_is_validated_and_kept(make_inputs):
    raw = {}

    class Watch:
        def __call__(self, context):
            self.callback = keras.callbacks.LambdaCallback(
                on_train_batch_end=lambda batch, logs: raw.update(weights=self.callback.model.get_weights()),
                on_epoch_begin=lambda epoch, logs: raw.update({epoch: self.callback.model.get_weights()}),
            )
            return [self.callback]

    parts = make_inputs(learning_rate=0.05, callbacks=Watch())
    trained = train(parts, "fit", epochs=2, ema=0.9, monitor="val_log_loss")
    best = trained.history[trained.best_epoch - 1]
    assert compute(parts.val.labels, sigmoid(Scorer(trained.model).logits(parts.val)), 0.5)["log_loss"] == pytest.approx(
        best["val_log_loss"], rel=1e-5
    )
    kept = trained.model.get_weights()
    assert any(np.abs(one - two).max() > 1e-3 for one, two in zip(kept, raw["weights"], strict=True)), "the average is not the last weights"


def test_training_goes_on_from_the_raw_weights(make_inputs):
    """With an average of which a step keeps almost all, validation changes and training does not."""
    plain, averaged = (train(make_inputs(2), "eager", **params) for params in ({}, {"ema": 0.999}))
    assert [row["loss"] for row in plain.history] == [row["loss"] for row in averaged.history]
    assert plain.history[-1]["val_loss"] != averaged.history[-1]["val_loss"]


def test_the_eager_loop_runs_plain_python_each_step(make_inputs):
    """As a debugger would find it: inside a step values are there, not symbols."""
    values = []

    class Nosy(keras.losses.Loss):
        def call(self, y_true, y_pred):
            values.append(float(y_pred[0, 0]))
            return keras.losses.binary_crossentropy(y_true, y_pred, from_logits=True)

    parts = make_inputs(loss=Nosy())
    train(parts, "eager", epochs=1)
    assert len(values) >= parts.batches.steps_per_epoch
