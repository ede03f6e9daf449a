"""What holds for every schedule, and the shapes of each."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import build, options
from malaria_exp.utils.errors import ConfigError

LENGTH = RunLength(epochs=10, steps_per_epoch=20, batch_size=32)
SCHEDULES = sorted(options("schedule"))
lengths = st.builds(RunLength, st.integers(1, 12), st.integers(1, 300), st.integers(1, 256))


def multipliers(name, length=LENGTH, **params):
    return np.asarray(build("schedule", name, params, length)(np.arange(length.steps)))


@pytest.mark.parametrize("name", SCHEDULES)
def test_multipliers_lie_between_zero_and_one_and_reach_one(name):
    values = multipliers(name)
    assert values.min() >= 0 and values.max() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", SCHEDULES)
@settings(max_examples=25, deadline=None)
@given(length=lengths, step=st.integers(0, 10**6))
def test_every_run_has_multipliers_between_zero_and_one(name, length, step):
    multiplier = build("schedule", name, {}, length)
    assert 0 <= float(multiplier(step)) <= 1 and float(multiplier(0)) > 0


@pytest.mark.parametrize("name", SCHEDULES)
def test_graph_eager_and_array_agree_whatever_came_before(name):
    multiplier = build("schedule", name, {"warmup": "10%"}, LENGTH)
    traced = tf.function(multiplier)
    together = np.asarray(multiplier(np.arange(501)))
    for step in (500, 199, 7, 0, 7, 60, 100, 150):
        assert float(traced(tf.constant(step, tf.int64))) == pytest.approx(float(multiplier(step)), abs=1e-6)
        assert together[step] == pytest.approx(float(multiplier(step)), abs=1e-6)


@pytest.mark.parametrize("warmup", ["10%", "2 epochs", "40 steps", "1280 examples"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_the_warm_up_climbs_evenly_from_a_first_step_that_is_not_lost(name, warmup):
    steps = LENGTH.in_steps(warmup)
    values = multipliers(name, warmup=warmup)
    np.testing.assert_allclose(values[:steps], np.arange(1, steps + 1) / steps, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "key"), [*((name, "warmup") for name in SCHEDULES), ("exponential", "start"), ("exponential", "every"), ("step", "drops")]
)
@settings(max_examples=8, deadline=None)
@given(epochs=st.integers(1, 10))
def test_the_same_duration_in_any_unit_gives_the_same_multipliers(name, key, epochs):
    steps = epochs * LENGTH.steps_per_epoch
    spelled = [f"{epochs} epochs", f"{steps} steps", f"{steps * LENGTH.batch_size} examples", f"{10 * epochs}%"]
    first, *others = (multipliers(name, **{key: [text] if key == "drops" else text}) for text in spelled)
    for other in others:
        np.testing.assert_array_equal(first, other)


@pytest.mark.parametrize("name", [*SCHEDULES, "smooth"])
@settings(max_examples=25, deadline=None)
@given(length=lengths, percent=st.integers(0, 100))
def test_only_the_staircases_jump(name, length, percent):
    smooth = {"name": "exponential", "staircase": False, "every": "1 epoch"} if name == "smooth" else {"name": name}
    values = multipliers(smooth.pop("name"), length, warmup=f"{percent}%", **smooth)
    warmup = length.in_steps(f"{percent}%")
    climb = 1 / max(warmup, 1)
    # The steepest fall of each; half a cosine is pi/2 times as steep in its middle as the straight line.
    line = 1 / max(length.steps - 1 - warmup, 1)
    fall = {"constant": 0, "cosine": 1.6 * line, "triangular": line, "smooth": 1 - math.exp(-0.1 / length.steps_per_epoch)}
    assert np.diff(values).max(initial=0) <= climb + 1e-5
    if name in fall:
        assert -np.diff(values).min(initial=0) <= fall[name] + 1e-5


@pytest.mark.parametrize("bad", ["10% 2 epochs", "10", 10, "2 epochs 3 steps", "-1 epochs", "2 minutes", None])
@pytest.mark.parametrize(
    ("name", "key", "path"),
    [
        *((name, "warmup", "schedule.warmup") for name in SCHEDULES),
        ("exponential", "start", "schedule.start"),
        ("exponential", "every", "schedule.every"),
        ("step", "drops", "schedule.drops[0]"),
    ],
)
def test_a_duration_has_exactly_one_unit(name, key, path, bad):
    with pytest.raises(ConfigError) as caught:
        multipliers(name, **{key: [bad] if key == "drops" else bad})
    assert str(caught.value).startswith(f"{path}: expected a length with its unit")


@pytest.mark.parametrize("duration", ["11 epochs", "201 steps", "101%", "6432 examples"])
@pytest.mark.parametrize(
    ("name", "key", "path"), [*((name, "warmup", "schedule.warmup") for name in SCHEDULES), ("step", "drops", "schedule.drops[1]")]
)
def test_a_warm_up_or_a_drop_beyond_the_end_is_refused(name, key, path, duration):
    with pytest.raises(ConfigError) as caught:
        multipliers(name, **{key: ["50%", duration] if key == "drops" else duration})
    text = str(caught.value)
    assert text.startswith(f"{path}: '{duration}' is longer than the run (")
    assert ("200 steps" in text) == ("step" in duration or "example" in duration)
    assert "trainer.epochs" in text


def test_constant_stays_and_cosine_and_triangular_fall_to_their_floor_at_the_last_step():
    assert set(multipliers("constant").tolist()) == {1.0}
    values = multipliers("cosine", warmup="10%", floor=0.2)
    assert (np.diff(values[20:]) < 0).all()
    assert values[20] == pytest.approx(1) and values[-1] == pytest.approx(0.2, abs=1e-6)
    assert values[20 + 90] == pytest.approx(0.6, abs=0.01)
    values = multipliers("triangular", warmup="40%", floor=0.25)
    np.testing.assert_allclose(values[80:], np.linspace(1, 0.25, 120), atol=1e-5)


@pytest.mark.parametrize("name", ["cosine", "triangular"])
def test_a_warm_up_as_long_as_the_run_is_possible(name):
    assert multipliers(name, warmup="100%")[-1] == pytest.approx(1)


def test_exponential_is_the_notebooks_callback():
    def scheduler(epoch, rate):
        return rate if epoch < 3 else rate * math.exp(-0.1)

    rate, expected = 1.0, []
    for epoch in range(10):
        rate = scheduler(epoch, rate)
        expected += [rate] * 20
    np.testing.assert_allclose(multipliers("exponential"), expected, rtol=1e-6)


def test_exponential_without_stairs_loses_the_same_at_every_step():
    values = multipliers("exponential", start="3 epochs", every="2 epochs", rate=0.5, staircase=False)
    assert set(values[:61].tolist()) == {1.0}
    np.testing.assert_allclose(values[61:] / values[60:-1], math.exp(-0.5 / 40), rtol=1e-5)


def test_exponential_neither_ends_nor_shrinks_with_the_run():
    short, long = RunLength(2, 20, 32), RunLength(9, 20, 32)
    # Five epochs are longer than the short run; the multiplier is that of the long one all the same.
    same = {"start": "0%", "every": "5 epochs", "staircase": False}
    np.testing.assert_array_equal(multipliers("exponential", short, **same), multipliers("exponential", long, **same)[:40])
    assert set(multipliers("exponential", short, start="3 epochs").tolist()) == {1.0}


@pytest.mark.parametrize("every", ["0 epochs", "0%", "1 example"])
def test_exponential_needs_time_to_decay_in(every):
    with pytest.raises(ConfigError, match=f"schedule.every: '{every}' is less than half a step"):
        multipliers("exponential", every=every)


def test_stairs_come_at_their_step_whatever_their_length():
    # A graph divides by multiplying with the reciprocal: 41 x (1 / 41) is less than 1.
    for stretch in (3, 7, 41, 47, 55, 61, 82, 83, 94, 97, 107):
        length = RunLength(1, 6 * stretch, 1)
        multiplier = build("schedule", "exponential", {"start": "0%", "every": f"{stretch} steps", "rate": 1}, length)
        values = tf.function(multiplier)(tf.range(length.steps)).numpy()
        np.testing.assert_allclose(values, np.repeat(np.exp(-np.arange(1, 7)), stretch), rtol=1e-5)


def test_step_multiplies_at_each_drop_in_any_order_and_unit():
    values = multipliers("step", drops=["8 epochs", "25%", "100 steps"], factor=0.5)
    np.testing.assert_allclose(values, np.repeat([1, 0.5, 0.25, 0.125], [50, 50, 60, 40]), rtol=1e-6)
    assert set(multipliers("step", drops=[]).tolist()) == {1.0}
