"""The files of sweeps/: what they promise, and that every key and value they name exists."""

import pytest
from conftest import ROOT

from malaria_exp.sweeps.search.file import read_sweep
from malaria_exp.sweeps.search.trial_command import ARGUMENTS

FILES = sorted((ROOT / "sweeps").glob("*.yaml"))
# What matters of these is its magnitude.
MAGNITUDES = ("learning_rate", "weight_decay", "l2", "alpha")


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def sweep(request):
    return read_sweep(request.param)


def test_there_is_one_of_every_method():
    assert {path.stem for path in FILES} >= {"notebook_random", "model_aug_grid", "cellnet_bayes", "aug_strength"}
    assert {read_sweep(path).method for path in FILES} == {"grid", "random", "bayes"}


def test_it_optimizes_a_metric_of_the_validation_cells_in_its_direction(sweep):
    assert sweep.metric.name.startswith("epoch/val_")
    assert sweep.metric.goal == ("minimize" if sweep.metric.name.endswith("_loss") else "maximize")


def test_magnitudes_are_searched_on_a_log_scale(sweep):
    for parameter in sweep.varied:
        if parameter.values is None and parameter.name.rpartition(".")[2] in MAGNITUDES:
            assert parameter.axis == "log", parameter.name


def test_it_ends_and_both_engines_can_run_it(sweep):
    assert sweep.method == "grid" or sweep.run_cap
    assert sweep.program == "run.py" and sweep.command == ("${env}", "${interpreter}", "-m", "malaria_exp", ARGUMENTS)
    assert sweep.raw["name"] == sweep.path.stem


def test_every_key_and_value_it_names_exists(sweep):
    """A value that no component takes would only fail at its trial."""
    from hydra import initialize_config_dir

    from malaria_exp.config.app import CONF
    from malaria_exp.sweeps.search.space_check import check_space

    with initialize_config_dir(str(CONF), version_base="1.3"):
        check_space(sweep, [])


def test_the_notebooks_search_has_their_space():
    sweep = read_sweep(next(path for path in FILES if path.stem == "notebook_random"))
    space = {name: sweep.raw["parameters"][name] for name in (parameter.name for parameter in sweep.varied)}
    assert (sweep.method, sweep.run_cap) == ("random", 5)
    assert space == {
        "model.units": {"values": [16, 32, 64, 128]},
        "model.units_2": {"values": [16, 32, 64, 128]},
        "model.dropout": {"distribution": "uniform", "min": 0.1, "max": 0.4},
        "model.l2": {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1},
        "optimizer.learning_rate": {"distribution": "log_uniform_values", "min": 0.0001, "max": 0.01},
    }
