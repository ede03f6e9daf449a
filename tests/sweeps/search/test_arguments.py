import math

import pytest
import yaml
from conftest import compose_app
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from malaria_exp.sweeps.sealed_jobs import SEAL
from malaria_exp.sweeps.search.arguments import completed, from_agent, to_overrides
from malaria_exp.utils.errors import ConfigError

# What a command line can hold: no NUL, no half of a pair of surrogates.
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))) | st.text("\\'\"${}[](),:= \ta1.-_~+\n", max_size=8)
WORDS = st.sampled_from(
    ["null", "None", "TRUE", "false", "inf", "-1", "1e-3", "1_000", "a,b", "glob(*)", "k=v", "a b", "", "???", "0x1", "~"]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT | WORDS
KEYS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,5}", fullmatch=True)
# Hydra has no quotes for the keys of a section in a list.
INNER_KEYS = KEYS.filter(lambda key: key.lower() not in ("null", "true", "false", "inf", "nan"))
IN_LISTS = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(INNER_KEYS, inner, max_size=3), max_leaves=6)
VALUES = st.recursive(SCALARS | st.lists(IN_LISTS, max_size=3), lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=6)


def read(overrides):
    """What Hydra makes of overrides, as one nested dict."""
    found = {}
    for override in OverridesParser.create().parse_overrides(overrides):
        assert not override.is_sweep_override()
        node = found
        *sections, last = override.key_or_group.split(".")
        for section in sections:
            node = node.setdefault(section, {})
        node[last] = override.value()
    return found


def same(one, other):
    """Equality that tells 1 from True and 1.0, and 0.0 from -0.0, and knows nan."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return (math.isnan(one) and math.isnan(other)) or repr(one) == repr(other)
    return type(one) is type(other) and one == other


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(KEYS, VALUES, max_size=3))
def test_hydra_reads_back_what_was_given(values):
    assert same(read(to_overrides(values)), values)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(KEYS, VALUES, max_size=3))
def test_the_agents_arguments_become_the_values_of_its_file(tmp_path_factory, values):
    """W&B's agent writes str(value), and the values with their types into a file."""
    path = tmp_path_factory.mktemp("agent") / "config.yaml"
    path.write_text(
        yaml.safe_dump(
            {"wandb_version": 1, **{key: {"value": value} for key, value in values.items()}}, allow_unicode=True, sort_keys=False
        )
    )
    # Which PyYAML, and so W&B, writes as it is and reads as a line feed.
    assume("\x85" not in path.read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_SWEEP_ID", "abc")
        patch.setenv("WANDB_SWEEP_PARAM_PATH", str(path))
        got = from_agent([f"{key}={value}" for key, value in values.items()])
    assert same(read(got), values)


def test_plain_words_stay_plain():
    values = {
        "model": "lenet_sequential",
        "dataset.path": "/data/cells.zip",
        "aug": ["dihedral", "mixup"],
        "optimizer": {"learning_rate": 1e-05},
    }
    assert to_overrides(values) == [
        "model=lenet_sequential",
        "dataset.path=/data/cells.zip",
        "aug=[dihedral,mixup]",
        "optimizer.learning_rate=1e-05",
    ]


def test_multirun_and_both_engines_compose_the_same_configuration(monkeypatch, tmp_path):
    """And so train the same: benchmarks/same_numbers.py does it."""
    typed = ["model=lenet_sequential", "model.units=8", "optimizer.learning_rate=0.002", "optimizer.clip_norm=null"]
    values = {"model": "lenet_sequential", "model.units": 8, "optimizer": {"learning_rate": 0.002, "clip_norm": None}}
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc")
    monkeypatch.delenv("WANDB_SWEEP_PARAM_PATH", raising=False)
    agents = from_agent([f"{key}={value}" for key, value in values.items()])
    composed = [compose_app(overrides, tmp_path).config_text for overrides in (typed, to_overrides(values), agents)]
    assert composed[0] == composed[1] == composed[2]


def test_interpolations_stay_interpolations():
    config = OmegaConf.create({"a": 3, **read(to_overrides({"b": "${a}"}))})
    assert config.b == 3


@pytest.mark.parametrize("value", [{1: 2}, {"a b": 1}, {"a.b": 1}, [{"null": 1}], [{"a b": 1}], b"x", object(), "a\0b"])
def test_what_cannot_be_given_is_an_error_that_names_the_key(value):
    with pytest.raises(ConfigError, match=r"^some\.key: received|^some\.key: expected"):
        to_overrides({"some.key": value})


AS_THE_AGENT_WRITES = {
    "a=None": {"a": None},
    "a=True": {"a": True},
    "a=1e-05": {"a": 1e-05},
    "optimizer={'learning_rate': 0.1, 'clip': {'norm': None}}": {"optimizer": {"learning_rate": 0.1, "clip": {"norm": None}}},
    "a=[1, None, 'x, y']": {"a": [1, None, "x, y"]},
    "a=k=v": {"a": "k=v"},
    "a=x,y": {"a": "x,y"},
    "a=x y": {"a": "x y"},
    "a=(": {"a": "("},
    "logger=[console,csv,wandb]": {"logger": ["console", "csv", "wandb"]},
    "a='None'": {"a": "None"},
}


@pytest.mark.parametrize("argument", AS_THE_AGENT_WRITES)
def test_without_the_agents_file_its_arguments_are_read_by_their_text(argument, monkeypatch):
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc")
    monkeypatch.delenv("WANDB_SWEEP_PARAM_PATH", raising=False)
    assert same(read(from_agent([argument])), AS_THE_AGENT_WRITES[argument])


def test_only_the_agents_own_arguments_change(monkeypatch, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("wandb_version: 1\nseed: {value: null}\n")
    typed = ["-m", "--cfg", "--flag=None", "aug=[dihedral,mixup]", "~x", "other=None", "seed=1"]
    assert from_agent(["seed=None"]) == ["seed=None"]
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc")
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", str(path))
    assert from_agent([*typed, "seed=None"]) == [*typed, "seed=null"]


def test_an_agents_run_is_tracked_and_its_test_subset_sealed_unless_it_says_otherwise(monkeypatch):
    assert completed(["seed=1"]) == ["seed=1"]
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc")
    assert {"logger=[console,csv,wandb]", SEAL} <= set(completed(["seed=1"]))
    opened = ["seed=1", "logger=csv", "evaluation.test=true"]
    assert completed(opened) == opened
