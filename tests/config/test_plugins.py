"""Users' own components: named on the command line, imported once, options like the built-in ones."""

import sys

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from malaria_exp.config import plugins, registry
from malaria_exp.config.app import CONF
from malaria_exp.config.registry import options
from malaria_exp.utils.errors import ConfigError

GOOD = '''
from malaria_exp.config.registry import register
from malaria_exp.config.validation import PositiveInt, Probability

@register("model", "my_net")
def my_net(*, width: PositiveInt = 8, source: str):
    """A net of my own."""

@register("aug", "my_aug")
def my_aug(*, p: Probability = 0.5):
    """An augmentation of my own."""
'''


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    """An empty working folder; what is imported and registered from it vanishes after the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if not name.startswith("malaria_exp"):
            del sys.modules[name]
    for key, item in list(registry._components.items()):
        if not item.builder.__module__.startswith("malaria_exp."):
            del registry._components[key]
    for group in registry.GROUPS:  # only plugins store something there
        ConfigStore.instance().repo.pop(group, None)


def test_what_a_plugin_registers_becomes_an_option(workshop):
    (workshop / "mine_good.py").write_text(GOOD)
    assert plugins.load(["plugins=[mine_good]", "model=my_net"]) == ["mine_good"]
    assert options("model")["my_net"] == "A net of my own."
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = compose("config", overrides=["plugins=[mine_good]", "model=my_net", "aug=[my_aug,dihedral]", "aug.my_aug.p=0.1"])
    assert OmegaConf.missing_keys(composed) == {"model.source"}, "a parameter without a default must be given"
    assert composed.model.width == 8 and list(composed.aug) == ["my_aug", "dihedral"] and composed.aug.my_aug.p == 0.1


def test_a_wrong_key_of_a_plugins_component_is_named(workshop):
    (workshop / "mine_keys.py").write_text(GOOD)
    plugins.load(["plugins=[mine_keys]"])
    with pytest.raises(ConfigError, match=r"model\.widht: unknown key.*Did you mean 'width'"):
        registry.check_params("model", "my_net", {"widht": 3, "source": "x"})


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ([], []),
        (["seed=1", "~aug", "-m"], []),
        (["plugins=[]"], []),
        (["plugins=null"], []),
        (["plugins=a"], ["a"]),
        (["plugins=[a,b.c]"], ["a", "b.c"]),
        (["++plugins=[a]"], ["a"]),
        (["+plugins=[a]", "plugins=[b]"], ["a", "b"]),
        (["plugins=[a"], []),
        (["model.plugins=[a]"], []),
    ],
)
def test_names_are_those_of_the_command_line(arguments, names):
    assert plugins._named_plugins(arguments) == names


def test_without_plugins_the_working_folder_is_no_place_to_import_from(workshop):
    before = list(sys.path)
    plugins.load(["seed=1"])
    assert sys.path == before


@pytest.mark.parametrize(
    ("source", "argument", "parts"),
    [
        (None, "plugins=[no_such_module]", ["'no_such_module' cannot be imported", "looked for from"]),
        (None, "plugins=[no_such.module]", ["'no_such.module' cannot be imported: no module 'no_such'"]),
        ("", "plugins=[mine_bda]", ["'mine_bda' cannot be imported", "Did you mean 'mine_bad'?"]),
        ("import no_such_thing", "plugins=[mine_bad]", ["importing 'mine_bad' failed: it needs the module 'no_such_thing'"]),
        ("raise SystemExit(0)", "plugins=[mine_bad]", ["importing 'mine_bad' failed: SystemExit"]),
        ("1 +", "plugins=[mine_bad]", ["importing 'mine_bad' failed: SyntaxError"]),
        ("1 / 0", "plugins=[mine_bad]", ["importing 'mine_bad' failed: ZeroDivisionError: division by zero"]),
        ("", "plugins=[.mine_bad]", ["plugins: expected names of modules", "received '.mine_bad'"]),
        ("", "plugins=mine_bad,other", ["plugins: expected a list of modules", "plugins=[first,second]"]),
        (
            GOOD.replace("my_aug", "dihedral"),
            "plugins=[mine_bad]",
            ["@register('aug', 'dihedral') in mine_bad", "taken by malaria_exp.components.aug.dihedral"],
        ),
        (GOOD.replace('"aug"', '"agu"'), "plugins=[mine_bad]", ["@register('agu', 'my_aug')", "no such group", "Did you mean 'aug'?"]),
        (GOOD.replace('"""A net of my own."""', "pass"), "plugins=[mine_bad]", ["@register('model', 'my_net') in mine_bad", "docstring"]),
    ],
)
def test_a_bad_plugin_is_a_message(workshop, source, argument, parts):
    if source is not None:
        (workshop / "mine_bad.py").write_text(source)
    with pytest.raises(ConfigError) as caught:
        plugins.load([argument])
    assert not [part for part in parts if part not in str(caught.value)], str(caught.value)
