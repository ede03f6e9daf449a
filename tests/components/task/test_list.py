import re

import pytest
from conftest import ROOT

from malaria_exp.config.registry import GROUPS, component, options
from malaria_exp.utils.errors import ConfigError


def test_every_option_has_its_line_of_help(run_task, tmp_path, capsys):
    run_task(["task=list"], tmp_path)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    for group in GROUPS:
        assert any(line.startswith(group) for line in lines)
        for name, text in options(group).items():
            assert text
            assert any(line.startswith(name) and line.endswith(text) for line in lines), (group, name)


@pytest.mark.parametrize("choice", ["model/cellnet", "aug/dihedral", "split/by_manifest"])
def test_an_option_shows_every_key(choice, run_task, tmp_path, capsys):
    run_task(["task=list", f"task.show={choice}"], tmp_path)
    out = capsys.readouterr().out
    group, name = choice.split("/")
    for key, parameter in component(group, name).parameters.items():
        assert f".{key}: " in out and parameter.help in out


@pytest.mark.parametrize(("show", "nearest"), [("modle", "model"), ("model/celnet", "cellnet"), ("debug/onestep", "one_step")])
def test_a_typo_is_answered_with_the_nearest(show, nearest, run_task, tmp_path):
    with pytest.raises(ConfigError, match=f"Did you mean '{nearest}'"):
        run_task(["task=list", f"task.show={show}"], tmp_path)


def test_a_preset_says_what_it_teaches_and_sets(run_task, tmp_path, capsys):
    run_task(["task=list"], tmp_path)
    out = capsys.readouterr().out
    for path in [*(ROOT / "conf" / "experiment").glob("*.yaml"), *(ROOT / "conf" / "debug").glob("*.yaml")]:
        assert re.search(rf"^  {path.stem} +\S+ \S+", out, re.MULTILINE), path
    run_task(["task=list", "task.show=experiment/lenet_notebook"], tmp_path)
    out = capsys.readouterr().out
    assert "as the notebooks trained it" in out
    assert "- override /model: lenet_sequential" in out
