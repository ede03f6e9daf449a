"""The house: conf/, malaria_exp/ and the registry tell the same story, and every wrong name or value is answered."""

import importlib
import inspect
import itertools
import re
import sys
from types import MappingProxyType

import pytest
from conftest import ROOT
from omegaconf import OmegaConf

from malaria_exp.config import registry
from malaria_exp.config.registry import GROUPS, build, check_params, component, options, register
from malaria_exp.config.validation import PositiveInt, Probability, check
from malaria_exp.utils.errors import ConfigError

OPTIONS = [(group, path.stem) for group in GROUPS for path in sorted((ROOT / "conf" / group).glob("*.yaml"))]


@pytest.fixture
def own():
    """A registry whose new entries vanish after the test; built-in ones that were imported meanwhile stay."""
    yield
    for key, item in list(registry._components.items()):
        if not item.builder.__module__.startswith("malaria_exp."):
            del registry._components[key]


def parameters_in_yaml(group, name):
    node = OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / group / f"{name}.yaml"), resolve=False)
    if (ROOT / "conf" / group / f"{name}.yaml").read_text().startswith("# @package _global_"):
        node = node[group]
    if GROUPS[group].many:
        assert list(node) == [name], "keyed by its own name, so that several merge"
        return node[name]
    assert node.pop("name") == name
    return node


def test_every_option_has_its_numbers_and_its_code():
    assert [(group, name) for group in GROUPS for name in options(group)] == OPTIONS
    assert {path.name for path in (ROOT / "conf").iterdir() if path.is_dir()} - {"experiment", "debug", "hydra"} == set(GROUPS)


@pytest.mark.parametrize(("group", "name"), OPTIONS, ids="/".join)
def test_yaml_and_builder_agree(group, name):
    found = component(group, name)
    values = parameters_in_yaml(group, name)
    assert found.builder.__module__.rpartition(".")[0] == f"malaria_exp.components.{group}"
    assert list(values) == list(found.parameters), "same keys in the same order"
    for key, parameter in found.parameters.items():
        if parameter.default is inspect.Parameter.empty:
            assert values[key] == "???", f"{key} must be given"
        else:
            assert values[key] == parameter.default, key
            # What the YAML holds passes the check, and means the same number type.
            assert type(check(key, values[key], parameter.annotation)) is type(check(key, parameter.default, parameter.annotation))


@pytest.mark.parametrize("group", GROUPS)
def test_every_file_registers_options_each_a_name_that_no_other_file_has(group):
    """One option of the file's own name, or a family."""
    files = sorted((ROOT / "malaria_exp" / "components" / group).glob("[!_]*.py"))
    found = [re.findall(r"^@register\(.*\"(\w+)\"\)", path.read_text(), re.MULTILINE) for path in files]
    assert all(len(names) > 1 or names == [path.stem] for path, names in zip(files, found, strict=True))
    assert sorted(itertools.chain(*found)) == list(options(group))


@pytest.mark.parametrize(("group", "name"), OPTIONS, ids="/".join)
def test_every_option_and_key_has_help_and_builders_take_what_the_runner_hands_them(group, name):
    found = component(group, name)
    assert found.help.endswith((".", ")"))
    assert all(parameter.help for parameter in found.parameters.values()), {k: p.help for k, p in found.parameters.items()}
    documented = registry._argument_help(inspect.getdoc(found.builder))
    assert set(documented) == set(found.parameters), "no help for keys that do not exist"
    kinds = [parameter.kind for parameter in inspect.signature(found.builder).parameters.values()]
    assert kinds.count(inspect.Parameter.POSITIONAL_ONLY) == len(GROUPS[group].context)
    assert set(kinds) <= {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("group", GROUPS)
def test_help_is_read_without_importing(group, monkeypatch):
    expected = {name: component(of, name).help for of, name in OPTIONS if of == group}

    def refuse(name):
        raise AssertionError(f"{name} was imported")

    registry._builtin_help.cache_clear()
    monkeypatch.setattr(registry, "_components", {})
    monkeypatch.setattr(importlib, "import_module", refuse)
    assert options(group) == expected and list(options(group)) == sorted(expected)


def message(call, *arguments):
    with pytest.raises(ConfigError) as caught:
        call(*arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        ((component, "modle", "x"), ["modle: no such group.", "Did you mean 'model'?", "Groups: "]),
        (
            (component, "model", "celnet"),
            ["model: no option 'celnet'.", "Did you mean 'cellnet'?", "Options of model: ", "plugins=["],
        ),
        ((component, "model", "_hidden"), ["model: no option '_hidden'."]),
        ((component, "model", "../aug/none"), ["model: no option '../aug/none'."]),
        (
            (check_params, "optimizer", "adamw", {"learning_rat": 1}),
            [
                "optimizer.learning_rat: unknown key",
                "=1",
                "'learning_rate'?",
                "Allowed keys of optimizer: ",
                "task.show=optimizer/adamw",
            ],
        ),
        ((check_params, "aug", "none", {"p": 1}, "aug.none"), ["aug.none.p: unknown key", "it takes no parameters"]),
        ((check_params, "dataset", "folder", {}), ["dataset.path: missing; expected the path of a folder or zip. (path: "]),
    ],
)
def test_what_is_wrong_is_named(call, parts):
    text = message(*call)
    assert not [part for part in parts if part not in text], text


def test_defaults_fill_what_is_not_given():
    checked = check_params("optimizer", "adamw", {"learning_rate": 1})
    assert checked["learning_rate"] == 1.0 and set(checked) == set(component("optimizer", "adamw").parameters)
    assert checked["weight_decay"] == component("optimizer", "adamw").parameters["weight_decay"].default


def test_build_hands_over_context_and_checked_parameters(own):
    @register("split", "own_split")
    def own_split(table, /, *, size: PositiveInt, rate: Probability = 0.5):
        """Mine."""
        return table, size, rate

    assert build("split", "own_split", MappingProxyType({"size": 3, "rate": 1}), "the table") == ("the table", 3, 1.0)
    assert "own_split" in options("split")
    assert [item.name for item in registry.plugin_components()] == ["own_split"]
    assert message(build, "split", "own_split", {}, "the table").startswith("split.size: missing; expected a whole number >= 1")


def test_a_name_has_one_owner(own):
    def first(*, p: float = 1.0):
        """First."""

    def second(*, p: float = 1.0):
        """Second."""

    assert register("aug", "twice")(first) is first
    register("aug", "twice")(first)  # a reloaded module
    assert "the name is taken by" in message(register("aug", "twice"), second)
    assert component("aug", "twice").builder is first


def test_a_built_in_name_is_taken_also_before_it_is_imported(own, monkeypatch):
    def dihedral(*, p: float = 1.0):
        """Mine."""

    monkeypatch.delitem(registry._components, ("aug", "dihedral"), raising=False)
    monkeypatch.delitem(sys.modules, "malaria_exp.components.aug.dihedral", raising=False)
    assert "the name is taken by malaria_exp.components.aug.dihedral" in message(register("aug", "dihedral"), dihedral)
    assert component("aug", "dihedral").builder is not dihedral


def with_annotation_string(*, p: "float" = 1.0):
    """Help."""


def without_annotation(*, p=1.0):
    """Help."""


def without_docstring(*, p: float = 1.0):
    pass


def with_ordinary_parameter(p: float = 1.0):
    """Help."""


def with_kwargs(**p: float):
    """Help."""


@pytest.mark.parametrize(
    ("group", "builder", "parts"),
    [
        ("augg", without_annotation, ["no such group", "Did you mean 'aug'?", "Groups: "]),
        ("aug", with_annotation_string, ["parameter 'p' needs a type annotation that is not a string"]),
        ("aug", without_annotation, ["parameter 'p' needs a type annotation"]),
        ("aug", without_docstring, ["needs a docstring"]),
        ("aug", with_ordinary_parameter, ["parameter 'p' must be positional-only", "keyword-only"]),
        ("aug", with_kwargs, ["parameter 'p' must be positional-only"]),
    ],
)
def test_a_builder_that_cannot_be_an_option_is_refused(own, group, builder, parts):
    text = message(register(group, "mine"), builder)
    assert not [part for part in [f"@register('{group}', 'mine')", *parts] if part not in text], text
    assert (group, "mine") not in registry._components


def test_argument_help_joins_lines_and_ends_with_its_section():
    doc = "One.\n\nArgs:\n    a: first\n        and more.\n    b: second: with a colon.\n\nReturns:\n    c: no argument."
    assert registry._argument_help(doc) == {"a": "first and more.", "b": "second: with a colon."}
