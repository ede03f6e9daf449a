"""The report of a sweep: what mattered is found, and odd trials do not stop it."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from malaria_exp.sweeps.search.file import read_sweep
from malaria_exp.sweeps.search.report import _dimension, draw, importances
from malaria_exp.sweeps.search.trials import Trial

PARAMETERS = {
    "x": {"min": 0.0, "max": 1.0},
    "rate": {"distribution": "log_uniform_values", "min": 1.0e-4, "max": 1.0},
    "aug": {"values": ["none", ["dihedral", "mixup"], None]},
    "fixed": {"value": 3},
}


@pytest.fixture
def sweep(tmp_path):
    raw = {"program": "run.py", "method": "random", "parameters": PARAMETERS, "command": ["${program}", "${args_no_hyphens}"]}
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(raw))
    return read_sweep(path)


def trials(count, score):
    random = np.random.default_rng(0)
    found = []
    for number in range(count):
        choice = [["none"], ["dihedral", "mixup"], None][random.integers(3)]
        values = {"x": random.uniform(), "rate": 10 ** random.uniform(-4, 0), "aug": "none" if choice == ["none"] else choice, "fixed": 3}
        found.append(Trial(str(number), Path("x"), "done", [], values, objective=score(values), history=(0.5,)))
    return found


def names(plots):
    return [plot.name for plot in plots]


@pytest.mark.parametrize(
    ("score", "most"), [(lambda v: v["x"], "x"), (lambda v: np.log(v["rate"]), "rate"), (lambda v: float(v["aug"] is None), "aug")]
)
def test_the_parameter_that_decides_is_found(sweep, score, most):
    found = trials(40, score)
    dimensions = [_dimension(parameter, found) for parameter in sweep.varied]
    shares = importances(dimensions, [trial.objective for trial in found], 0)
    assert max(shares, key=shares.get) == most and sum(shares.values()) == pytest.approx(1)
    assert shares == importances(dimensions, [trial.objective for trial in found], 0)


def test_plots_are_of_trials_with_a_value_and_all_parameters(sweep):
    found = trials(6, lambda values: values["x"])
    assert names(draw(sweep, found, 0)) == ["course", "importance", "parallel", "slices"]
    odd = Trial("6", Path("x"), "failed", [], {"x": 0.5}, reason="no")
    partial = Trial("7", Path("x"), "done", [], {"x": 0.5}, objective=0.5, history=(0.5,))
    assert names(draw(sweep, [odd, partial], 0)) == [] and names(draw(sweep, [found[0], odd, partial], 0)) == ["course"]
    assert names(draw(sweep, [found[0], found[1], odd], 0)) == ["course", "parallel", "slices"]


def test_importance_needs_something_to_explain(sweep):
    found = trials(6, lambda values: 0.5)
    dimensions = [_dimension(parameter, found) for parameter in sweep.varied]
    assert importances(dimensions, [0.5] * 6, 0) == {} and importances(dimensions[:1], list(range(6)), 0) == {}
