"""What holds for every schedule, and the shapes of each."""

import numpy as np
import pytest

from malaria_exp.durations import RunLength
from malaria_exp.registry import build, options

LENGTH = RunLength(epochs=10, steps_per_epoch=20, batch_size=32)


def factors(name, **params):
    factor = build("schedule", name, params, LENGTH)
    return np.array([float(factor(step)) for step in range(LENGTH.steps)])


@pytest.mark.parametrize("name", sorted(options("schedule")))
def test_factors_lie_between_zero_and_one_and_reach_one(name):
    values = factors(name)
    assert values.min() >= 0
    assert values.max() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", sorted(options("schedule")))
def test_it_can_be_traced_into_a_graph(name):
    import tensorflow as tf

    factor = build("schedule", name, {}, LENGTH)
    traced = tf.function(factor)
    for step in (0, 7, 199, 500):
        assert float(traced(tf.constant(step, tf.int64))) == pytest.approx(float(factor(step)), abs=1e-6)


@pytest.mark.parametrize("warmup", ["10%", "2 epochs", "40 steps", "1280 examples"])
@pytest.mark.parametrize("name", ["constant", "cosine"])
def test_the_warm_up_climbs_evenly_from_a_first_step_that_is_not_lost(name, warmup):
    steps = LENGTH.in_steps(warmup)
    values = factors(name, warmup=warmup)
    np.testing.assert_allclose(values[:steps], np.arange(1, steps + 1) / steps, rtol=1e-6)


def test_constant_stays():
    assert set(factors("constant").tolist()) == {1.0}


def test_cosine_falls_to_its_floor_at_the_last_step():
    values = factors("cosine", warmup="10%", floor=0.2)
    assert (np.diff(values[20:]) < 0).all()
    assert values[20] == pytest.approx(1)
    assert values[-1] == pytest.approx(0.2, abs=1e-6)
    assert values[20 + 90] == pytest.approx(0.6, abs=0.01)


def test_a_warm_up_as_long_as_the_run_is_possible():
    values = factors("cosine", warmup="100%")
    assert values[-1] == pytest.approx(1)
