"""W&B's distributions: what comes out of each, by sampling, and what is refused."""

import math

import numpy as np
import optuna
import pytest
from scipy import stats

from malaria_exp.sweeps.search.space import read_parameters
from malaria_exp.utils.errors import ConfigError

DRAWS = 3000


def one(node):
    (parameter,) = read_parameters("x.yaml", {"a.b": node})
    return parameter


def draws(node, count=DRAWS):
    """Returns values drawn by Optuna's random sampler, without a study behind each."""
    parameter, random = one(node), np.random.default_rng(0)

    class Trial:
        def suggest_float(self, name, low, high, *, log=False):
            return float(np.exp(random.uniform(np.log(low), np.log(high))) if log else random.uniform(low, high))

        def suggest_int(self, name, low, high):
            return int(random.integers(low, high + 1))

        def suggest_categorical(self, name, choices):
            return choices[random.integers(len(choices))]

    return [parameter.draw(Trial()) for _ in range(count)]


def follows(values, distribution):
    return stats.kstest(values, distribution.cdf).pvalue > 1e-4


@pytest.mark.parametrize(
    ("node", "distribution"),
    [
        ({"min": 0.5, "max": 2.0}, stats.uniform(0.5, 1.5)),
        ({"distribution": "log_uniform", "min": -3, "max": 1}, stats.loguniform(math.exp(-3), math.e)),
        ({"distribution": "log_uniform_values", "min": 1.0e-4, "max": 0.1}, stats.loguniform(1e-4, 0.1)),
        ({"distribution": "inv_log_uniform", "min": 1, "max": 3}, stats.loguniform(math.exp(-3), math.exp(-1))),
        ({"distribution": "inv_log_uniform_values", "min": 0.2, "max": 5}, stats.loguniform(0.2, 5)),
        ({"distribution": "normal", "mu": 3, "sigma": 2}, stats.norm(3, 2)),
        ({"distribution": "normal"}, stats.norm(0, 1)),
        ({"distribution": "log_normal", "mu": 1, "sigma": 0.5}, stats.lognorm(0.5, scale=math.e)),
        ({"distribution": "beta", "a": 2, "b": 5}, stats.beta(2, 5)),
    ],
)
def test_ranges_have_the_named_distribution(node, distribution):
    assert follows(draws(node), distribution)


@pytest.mark.parametrize(
    ("node", "step"),
    [
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.1}, 0.1),
        ({"distribution": "q_log_uniform_values", "min": 1, "max": 100, "q": 5}, 5),
        ({"distribution": "q_normal", "mu": 2, "sigma": 3, "q": 0.25}, 0.25),
        ({"distribution": "q_log_normal", "q": 2}, 2),
        ({"distribution": "q_beta", "a": 2, "b": 2, "q": 0.05}, 0.05),
        ({"distribution": "q_uniform", "min": 0, "max": 9}, 1),
    ],
)
def test_quantized_values_are_multiples_of_the_step(node, step):
    values = draws(node, 300)
    assert len(set(values)) > 3
    assert all(isinstance(value, int) == isinstance(step, int) for value in values)
    for value in values:
        assert value == round(round(value / step) * step, 10)


def test_whole_numbers_reach_both_ends_and_listed_values_come_as_they_stand_there():
    values = draws({"min": 1, "max": 4})
    assert {type(value) for value in values} == {int}
    assert set(values) == {1, 2, 3, 4}
    listed = [16, 0.5, "adamw", None, True, ["dihedral", "mixup"], {"alpha": 0.2}]
    found = draws({"values": listed}, 200)
    assert all(value in found for value in listed)
    assert {type(value) for value in found} == {type(value) for value in listed}


def test_probabilities_are_those_of_the_values():
    values = draws({"values": ["a", "b", "c", "d"], "probabilities": [0.7, 0.1, 0.0, 0.2]})
    shares = [values.count(name) / DRAWS for name in "abcd"]
    assert shares == pytest.approx([0.7, 0.1, 0, 0.2], abs=0.03)
    assert "c" not in values


def test_edges_of_probabilities_draw_no_value_of_probability_0():
    parameter = one({"values": ["a", "b", "c"], "probabilities": [0.0, 1.0, 0.0]})

    class Edge:
        def __init__(self, quantile):
            self.quantile = quantile

        def suggest_float(self, name, low, high, *, log=False):
            return self.quantile

    assert {parameter.draw(Edge(quantile)) for quantile in (0.0, 0.5, 1.0)} == {"b"}


def test_a_constant_is_itself_and_nested_parameters_have_dotted_names():
    assert set(draws({"value": "cellnet"}, 5)) == {"cellnet"}
    assert one({"value": 3}).distribution == "constant"
    node = {
        "model": {"value": "vit"},
        "optimizer": {"parameters": {"learning_rate": {"min": 0.0, "max": 1.0}, "a": {"parameters": {"b": {"value": 1}}}}},
    }
    assert [parameter.name for parameter in read_parameters("x.yaml", node)] == ["model", "optimizer.learning_rate", "optimizer.a.b"]


@pytest.mark.parametrize(
    "node", [{"values": [1, 2]}, {"min": 1, "max": 3}, {"distribution": "normal"}, {"values": [1, 2], "probabilities": [0.5, 0.5]}]
)
def test_optuna_draws_what_the_stand_in_draws(node):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    parameter = one(node)
    assert {type(parameter.draw(study.ask())) for _ in range(5)} == {type(draws(node, 1)[0])}


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"distribution": "unifrom", "min": 0, "max": 1}, "Did you mean 'uniform'"),
        ({"min": 0, "max": 1, "step": 2}, "unknown key 'step'"),
        ({"min": 0}, "expected value, values, or min and max"),
        ({"distribution": "q_uniform", "min": 0}, "needs 'max'"),
        ({"min": 2, "max": 1}, "expected min < max"),
        ({"distribution": "log_uniform_values", "min": 0, "max": 1}, "min: expected a number > 0"),
        ({"distribution": "log_uniform", "min": 0, "max": 1000}, "log_uniform_values"),
        ({"distribution": "normal", "sigma": 0}, "sigma: expected a number > 0"),
        ({"distribution": "beta", "a": 0}, "expected a and b > 0"),
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0}, "q: expected a number > 0"),
        ({"distribution": "int_uniform", "min": 0.5, "max": 3}, "min: expected a whole number"),
        ({"distribution": "uniform", "min": "1e-4", "max": 1}, "1.0e-4"),
        ({"min": True, "max": 2}, "expected a number, received True"),
        ({"values": []}, "at least one value"),
        ({"values": [1, 1]}, "stands there twice"),
        ({"values": [1, 2], "probabilities": [1]}, "a number for each of the 2 values"),
        ({"values": [1, 2], "probabilities": [0.5, 0.6]}, "add up to 1"),
        (3, "A fixed value is written"),
        ({"parameters": {"c": {"value": 1}}, "min": 0}, "no other keys"),
        ({"parameters": {}}, "names what the sweep varies"),
    ],
)
def test_what_is_wrong_is_named(node, message):
    with pytest.raises(ConfigError, match=r"x\.yaml: parameters\.a\.b") as caught:
        one(node)
    assert message in str(caught.value)


def test_a_name_that_stands_there_twice_is_refused():
    with pytest.raises(ConfigError, match="stands there twice"):
        read_parameters("x.yaml", {"a": {"parameters": {"b": {"value": 1}}}, "a.b": {"value": 2}})
