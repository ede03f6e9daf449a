"""What is checked before the first trial of a search, and what goes to every trial."""

import pytest
from hydra import initialize_config_dir
from sweep_file import write_sweep

from malaria_exp.config.app import CONF
from malaria_exp.sweeps.search.file import read_sweep
from malaria_exp.sweeps.search.space_check import check_space, trial_overrides
from malaria_exp.utils.errors import ConfigError


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"optimizer.lr": {"values": [0.1]}}, "optimizer.lr: unknown key"),
        ({"model": {"values": ["cellnet", "celnet"]}}, "model: no option 'celnet'. Did you mean 'cellnet'?"),
        ({"batch_size": {"values": [64, "many"]}}, "batch_size: expected"),
        ({"model.dropout": {"min": 0.5, "max": 2.5}}, "model.dropout: expected"),
        ({"optimizer": {"parameters": {"learning_rat": {"min": 0.1, "max": 1.0}}}}, "Did you mean 'learning_rate'?"),
    ],
)
def test_what_no_trial_could_use_is_told_before_the_first(tmp_path, parameters, message):
    method = "random" if any("min" in str(node) for node in parameters.values()) else "grid"
    path = write_sweep(tmp_path / "x.yaml", parameters, method=method, run_cap=3)
    with initialize_config_dir(str(CONF), version_base="1.3"), pytest.raises(ConfigError) as caught:
        check_space(read_sweep(path), ["seed=3"])
    assert message in str(caught.value) and str(path) in str(caught.value)


def test_a_metric_that_no_trial_has_is_told_before_the_first(tmp_path):
    metric = {"name": "epoch/val_acu", "goal": "maximize"}
    path = write_sweep(tmp_path / "x.yaml", {"batch_size": {"values": [64]}}, metric=metric)
    with initialize_config_dir(str(CONF), version_base="1.3"), pytest.raises(ConfigError) as caught:
        check_space(read_sweep(path), [])
    assert f"{path}: metric.name: no trial has a column 'val_acu'. Did you mean 'val_auc'?" in str(caught.value)
    # One that the trials choose is known.
    metric = {"name": "val_custom_accuracy_class", "goal": "maximize"}
    path = write_sweep(tmp_path / "x.yaml", {"batch_size": {"values": [64]}}, metric=metric)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        check_space(read_sweep(path), ["metric=[custom_accuracy_class]"])


def test_what_speaks_of_the_sweep_stays_with_the_sweep(tmp_path):
    sweep = read_sweep(write_sweep(tmp_path / "x.yaml", {"model": {"values": ["cellnet"]}, "seed": {"value": 3}}))
    typed = ["task=sweep", "task.agents=2", "file=x.yaml", "engine=local", "resume=true", "hydra.run.dir=a", "dataset=nih", "+aug.x=1"]
    assert trial_overrides(typed, sweep) == ["dataset=nih", "+aug.x=1"]
    for override in ("model=vit", "seed=1"):
        with pytest.raises(ConfigError, match="says how it varies"):
            trial_overrides([override], sweep)
