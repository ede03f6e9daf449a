"""A sweep's file: what is read from it, its command, and everything that can be wrong with it."""

import sys

import pytest
import yaml

from malaria_exp.sweeps.search.file import read_sweep
from malaria_exp.utils.errors import ConfigError

COMMAND = ["${env}", "${interpreter}", "${program}", "${args_no_hyphens}", "logger=[console,csv]"]
GOOD = {
    "program": "run.py",
    "method": "grid",
    "metric": {"name": "epoch/val_auc", "goal": "maximize"},
    "parameters": {"model": {"values": ["a", "b"]}, "seed": {"values": [0, 1, 2]}, "x": {"value": 5}},
    "command": COMMAND,
}


@pytest.fixture
def write(tmp_path):
    def write(**changed):
        content = {key: value for key, value in {**GOOD, **changed}.items() if value is not None}
        path = tmp_path / "sweep.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    return write


def test_a_grid_is_every_combination_once(write):
    sweep = read_sweep(write())
    grid = sweep.grid()
    assert len(grid) == sweep.grid_size() == 6
    assert len({tuple(point.values()) for point in grid}) == 6
    assert all(point["x"] == 5 for point in grid)
    assert [parameter.name for parameter in sweep.varied] == ["model", "seed"]


def test_the_command_is_filled_in(write, monkeypatch):
    monkeypatch.setenv("PLACE", "there")
    command = ["${env}", "${interpreter}", "${program}", "a=${envvar:PLACE}", "${args_no_hyphens}"]
    sweep = read_sweep(write(command=command))
    assert sweep.command_of(["model=a", "seed=1"]) == [sys.executable, "run.py", "a=there", "model=a", "seed=1"]
    monkeypatch.delenv("PLACE")
    with pytest.raises(ConfigError, match="PLACE is not set"):
        sweep.command_of([])


def test_without_a_metric_the_area_under_the_curve_counts(write):
    metric = read_sweep(write(metric=None)).metric
    assert (metric.column, metric.goal) == ("val_auc", "maximize")
    assert metric.better(0.9, 0.8)


@pytest.mark.parametrize("name", ["epoch/val_loss", "val_loss"])
def test_of_a_loss_less_is_better(write, name):
    metric = read_sweep(write(metric={"name": name})).metric
    assert metric.column == "val_loss" and metric.better(0.1, 0.2)


@pytest.mark.parametrize(
    ("node", "found"),
    [
        ({"min_iter": 3}, (3, 3, None)),
        ({"min_iter": 2, "eta": 2}, (2, 2, None)),
        # W&B's own example: 27 epochs, twice: at 9 and 3.
        ({"max_iter": 27, "s": 2, "eta": 3}, (3, 3, 27)),
        ({"max_iter": 8, "s": 9, "eta": 2}, (1, 2, 8)),
    ],
)
def test_hyperband_ends_trials_at_the_epochs_of_wandb(write, node, found):
    early = read_sweep(write(early_terminate={"type": "hyperband", **node})).early_terminate
    assert (early.first, early.eta, early.last) == found


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"methd": "grid"}, "unknown key 'methd'. Did you mean 'method'?"),
        ({"method": "gird"}, "Did you mean 'grid'?"),
        ({"method": "grid", "parameters": {"x": {"min": 0, "max": 1.0}}}, "a grid needs values one by one"),
        ({"parameters": None}, "names what the sweep varies"),
        ({"parameters": {"a b": {"value": 1}}}, "no key of a configuration"),
        ({"program": None}, "program: run.py"),
        ({"command": None}, "would give --seed=1"),
        ({"command": ["${interpreter}", "run.py"]}, "lacks ${args_no_hyphens}"),
        ({"command": ["${args}"]}, "Macros:"),
        ({"command": ["${interprter}", "${args_no_hyphens}"]}, "Did you mean 'interpreter'?"),
        ({"command": ["x=${args_no_hyphens}"]}, "cannot be used here"),
        ({"metric": {"name": "test/auc", "goal": "maximize"}}, "test cells stay sealed"),
        ({"metric": {"name": "accuracy"}}, "expected a metric of the validation cells"),
        ({"metric": {"name": "val_auc", "goal": "minimize"}}, "the best is the one to maximize"),
        ({"metric": {"name": "val_auc"}}, "where the file says nothing"),
        ({"metric": {"name": "val_auc", "goal": "max"}}, "expected maximize or minimize"),
        ({"metric": {"name": "val_auc", "gaol": "maximize"}}, "Did you mean 'goal'?"),
        ({"metric": "val_auc"}, "expected {name: epoch/val_auc"),
        ({"method": "bayes", "metric": None}, "expected {name: epoch/val_auc"),
        ({"run_cap": 0}, "run_cap: expected a whole number from 1"),
        ({"early_terminate": {"type": "envelope"}}, "type: hyperband"),
        ({"early_terminate": {"type": "hyperband"}}, "expected min_iter, or max_iter with s"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 1, "max_iter": 3}}, "expected min_iter, or max_iter with s"),
        ({"early_terminate": {"type": "hyperband", "min_itr": 1}}, "Did you mean 'min_iter'?"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 1}}, "eta: expected a whole number from 2"),
        ({"early_terminate": {"type": "hyperband", "max_iter": 2, "s": 1}}, "max_iter of at least eta"),
    ],
)
def test_what_is_wrong_is_named(write, changed, message):
    path = write(**changed)
    with pytest.raises(ConfigError) as caught:
        read_sweep(path)
    assert message in str(caught.value) and str(path) in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "cellnet.yaml").write_text("method: [")
    with pytest.raises(ConfigError, match="Did you mean 'cellnet.yaml'"):
        read_sweep(tmp_path / "celnet.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_sweep(tmp_path / "cellnet.yaml")
    (tmp_path / "cellnet.yaml").write_text("- 1")
    with pytest.raises(ConfigError, match="expected a sweep in W&B's format"):
        read_sweep(tmp_path / "cellnet.yaml")
