"""From composed values to a checked configuration."""

import dataclasses

import pytest
from conftest import ROOT, compose_config
from omegaconf import DictConfig, ListConfig, OmegaConf

from malaria_exp.config.registry import GROUPS
from malaria_exp.config.run_config import NOT_KEYS, CacheConfig, Choice, Config, EvaluationConfig
from malaria_exp.config.validation import check_dataclass
from malaria_exp.utils.errors import ConfigError

CONF = ROOT / "conf"


def values(*overrides):
    return OmegaConf.to_container(compose_config(list(overrides)), resolve=True)


@pytest.fixture(scope="module")
def plain():
    return values()


def test_every_key_of_the_yaml_is_typed_and_the_other_way_round(plain):
    fields = {item.name for item in dataclasses.fields(Config)} - NOT_KEYS
    assert set(plain) == fields | set(GROUPS)
    for section, cls in (("cache", CacheConfig), ("evaluation", EvaluationConfig)):
        assert list(plain[section]) == [item.name for item in dataclasses.fields(cls)]
        assert all(item.default is dataclasses.MISSING for item in dataclasses.fields(cls)), "numbers stand in the YAML, once"


def test_the_defaults_make_a_run(plain):
    config = Config.from_plain(plain)
    config.check_components()
    assert (config.seed, config.plugins, config.run) == (plain["seed"], [], None)
    assert config.evaluation == check_dataclass("evaluation", plain["evaluation"], EvaluationConfig)
    assert config.one("model") == Choice(
        "model", "cellnet", {k: v for k, v in plain["model"].items() if k not in ("name", "input")}, "model"
    )
    assert config.choices["aug"] == [Choice("aug", "dihedral", {"p": 1.0}, "aug.dihedral")]
    assert set(config.choices) == set(GROUPS)


@pytest.mark.parametrize("names", [["console", "csv"], ["csv", "console"], ["csv"]])
def test_several_options_keep_their_order(names):
    config = Config.from_plain(values(f"logger=[{','.join(names)}]"))
    assert [choice.name for choice in config.choices["logger"]] == names
    assert [choice.path for choice in config.choices["logger"]] == [f"logger.{name}" for name in names]


def test_components_get_plain_python(plain):
    def containers(value):
        if isinstance(value, DictConfig | ListConfig):
            yield value
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from containers(item)

    config = Config.from_plain(plain)
    assert type(config.one("model").params["widths"]) is list
    for choices in config.choices.values():
        for choice in choices:
            assert list(containers(choice.params)) == []


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["seed=-1"], ["seed: expected a whole number >= 0 and < 4294967296, received -1 (int)"]),
        (["seed=4294967296"], ["seed: expected a whole number", "received 4294967296"]),
        (["batch_size=true"], ["batch_size: expected a whole number >= 1 and <= 1000000, received True (bool)"]),
        (["allow_leak=1"], ["allow_leak: expected true or false, received 1 (int)"]),
        (["plugins=mine"], ["plugins: expected a list, each item text, received 'mine' (str)"]),
        (["plugins=[1]"], ["plugins[0]: expected text, received 1 (int)"]),
        (["save_as=weights"], ["save_as: expected a list, each item one of 'keras', 'weights', 'saved_model', received 'weights'"]),
        (["save_as=[h5]"], ["save_as[0]: expected one of 'keras', 'weights', 'saved_model', received 'h5'"]),
        (["init_from=[a]"], ["init_from: expected text or null"]),
        (["model.input=rwa"], ["model.input: expected one of 'prepared', 'raw', received 'rwa' (str). Did you mean 'raw'?"]),
        (["run=5"], ["run: expected text or null, received 5 (int)"]),
        (["cache.resize=strech"], ["cache.resize: expected one of 'pad', 'stretch'", "Did you mean 'stretch'?"]),
        (["cache.resident_gb=-0.5"], ["cache.resident_gb: expected a number >= 0, received -0.5 (float)"]),
        (["cache.resident_gb=inf"], ["cache.resident_gb: expected a number >= 0"]),
        (["evaluation.confidence=1"], ["evaluation.confidence: expected a number > 0 and < 1, received 1 (int)"]),
        (["evaluation.resamples=5"], ["evaluation.resamples: expected a whole number >= 10 and <= 100000, received 5 (int)"]),
        (["evaluation=x"], ["evaluation: expected a section with the keys test, resamples,", "received 'x'"]),
        (["+cache.rot=x"], ["cache.rot: unknown key", "Did you mean 'root'?", "Allowed keys of cache: resident_gb"]),
        (["+sede=1"], ["sede: unknown key, received sede=1.", "Did you mean 'seed'?"]),
        (["+modell=1"], ["modell: unknown key, received modell=1.", "Did you mean 'model'?"]),
        (["~seed"], ["seed: missing from the configuration"]),
        (["~cache.root"], ["cache.root: missing; expected the path of a folder"]),
        (["~model"], ["model: expected an option of the group", "Choose with model=name"]),
        (["model.name=celnet"], ["model: no option 'celnet'", "Did you mean 'cellnet'?"]),
        (["model.name=null"], ["model: expected an option of the group"]),
        (["aug.dihedral=3"], ["aug.dihedral: expected the option's parameters, received 3"]),
        (["+aug.dihedrall={}"], ["aug: no option 'dihedrall'", "Did you mean 'dihedral'?", "Options of aug: "]),
        (["aug=[]"], ["aug: expected options of the group", "aug=[first,second]"]),
    ],
)
def test_what_is_wrong_is_named(overrides, parts):
    with pytest.raises(ConfigError) as caught:
        Config.from_plain(values(*overrides))
    assert not [part for part in parts if part not in str(caught.value)], str(caught.value)


@pytest.mark.parametrize(
    ("override", "path"),
    [
        ("+optimizer.lrr=1", "optimizer.lrr: unknown key"),
        ("aug.dihedral.p=-1", "aug.dihedral.p: expected"),
        ("model.stem=0", "model.stem: expected"),
    ],
)
def test_components_are_checked_where_they_are_used(override, path):
    config = Config.from_plain(values(override))
    with pytest.raises(ConfigError, match=path):
        config.check_components()
    used = override.lstrip("+").partition(".")[0]
    config.check_components(tuple(group for group in GROUPS if group != used))


@pytest.mark.parametrize("name", ["cellnet", "vit"])
def test_every_model_has_the_key_input_and_no_builder_gets_it(name):
    config = Config.from_plain(values(f"model={name}", "model.input=raw"))
    config.check_components()
    assert config.model_input == "raw"
    assert "input" not in config.one("model").params
    assert Config.from_plain(values(f"model={name}")).model_input == "prepared"
    with pytest.raises(ConfigError, match=r"model\.inptu: unknown key.*Did you mean 'input'\?"):
        Config.from_plain(values(f"model={name}", "+model.inptu=raw")).check_components()


def test_the_cache_folder_is_that_of_the_environment_with_the_home_resolved(monkeypatch, tmp_path):
    monkeypatch.setenv("MALARIA_EXP_CACHE", "~/cells")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Config.from_plain(values()).cache.path == tmp_path / "cells"
    # Set but empty is not set; else the working folder would be the cache.
    monkeypatch.setenv("MALARIA_EXP_CACHE", "")
    assert Config.from_plain(values()).cache.path == tmp_path / ".cache" / "malaria_exp"
    with pytest.raises(ConfigError, match=r"cache\.root: .*the path of a folder"):
        Config.from_plain(values("cache.root=''"))
